"""Parser and entry point: typed functions become verbs, their errors one line.

Only the verb that is called imports torch, so that ``rsmooth --help`` answers at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rsmooth._version import __version__
from rsmooth.cli.argv import expand
from rsmooth.cli.attack import attack
from rsmooth.cli.audit import audit
from rsmooth.cli.certify import certify
from rsmooth.cli.listing import list_entries
from rsmooth.cli.plan import plan
from rsmooth.cli.predict import predict
from rsmooth.cli.report import report
from rsmooth.cli.restate import restate
from rsmooth.cli.train import train
from rsmooth.cli.values import (
    Names,
    Numbers,
    PixelValue,
    PixelValues,
    names,
    numbers,
    pixel_value,
    pixel_values,
)

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

VERBS: dict[str, Callable[..., None]] = {
    "train": train,
    "certify": certify,
    "attack": attack,
    "audit": audit,
    "predict": predict,
    "report": report,
    "restate": restate,
    "plan": plan,
    "list": list_entries,
}


def build_parser() -> ArgumentParser:
    """The parser of the whole command line: one sub-command a verb, one option a parameter."""
    from jsonargparse.typing import register_type

    from rsmooth.cli.parsing import Parser

    register_type(
        PixelValue, serializer=float, deserializer=pixel_value, fail_already_registered=False
    )
    for several, read in ((PixelValues, pixel_values), (Numbers, numbers), (Names, names)):
        register_type(several, serializer=list, deserializer=read, fail_already_registered=False)
    parser = Parser(
        prog="rsmooth",
        version=__version__,
        description="Train, attack and certify "
        "randomized-smoothing classifiers. Every option is also a YAML key (--config run.yaml).",
    )
    verbs = parser.add_subcommands(metavar="VERB", dest="verb")
    for name, function in VERBS.items():
        summary = (function.__doc__ or "").split("\n")[0]
        verb = Parser(description=summary)
        verb.add_argument(
            "--config", action="config", help="a YAML file with any of the options below"
        )
        verb.add_function_arguments(function, as_group=False)
        verbs.add_subcommand(name, verb, help=summary)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; 0 when it went well, 2 after an error in what was asked, 130 when interrupted.

    An error of ours is one line on stderr; RSMOOTH_DEBUG=1 shows its traceback.
    """
    namespace = build_parser().parse_args(expand(sys.argv[1:] if argv is None else argv))
    options = namespace[namespace.verb].as_dict()
    options.pop("config", None)
    usual_form, warnings.formatwarning = warnings.formatwarning, _warning_of(namespace.verb)
    try:
        VERBS[namespace.verb](**options)
    except KeyboardInterrupt:
        print("rsmooth: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    except (ValueError, LookupError, OSError, RuntimeError, ImportError) as error:
        if os.environ.get("RSMOOTH_DEBUG") == "1":
            raise
        print(f"rsmooth {namespace.verb}: error: {_in_one_line(error)}", file=sys.stderr)
        return 2
    finally:
        warnings.formatwarning = usual_form
    return 0


def _warning_of(verb: str) -> Callable[..., str]:
    """Warnings as errors are shown: one line, without the place in our code that gave them."""
    return lambda message, *_, **__: f"rsmooth {verb}: warning: {' '.join(str(message).split())}\n"


def _in_one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.strerror}: {error.filename}"
    return " ".join(str(error).split())
