"""The command line: each verb is a typed function in the module of its name.

A verb is callable without the command line and without jsonargparse; ``rsmooth.cli.verbs`` says how
it is registered, ``rsmooth.cli.signature`` how its parameters become options and YAML keys.
"""

from rsmooth.cli.main import main

__all__ = ["main"]
