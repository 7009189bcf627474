"""The command line: ``rsmooth train | attack | certify | predict | report | plan | list``.

Each verb is a typed function in the module of its name, callable without the command line and without jsonargparse;
``main`` turns their signatures into options and YAML keys.
"""

from rsmooth.cli.main import main

__all__ = ["main"]
