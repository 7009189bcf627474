"""The command line: ``rsmooth train | certify | attack | audit | predict | report | restate | plan
| list``.

Each verb is a typed function in the module of its name, callable without the command line and
without jsonargparse; ``main`` turns their signatures into options and YAML keys. Where annotations
are postponed, jsonargparse imports what a module imports for type checkers only; so the verbs'
modules do not postpone them: ``rsmooth --help`` needs no torch.
"""

from rsmooth.cli.main import main

__all__ = ["main"]
