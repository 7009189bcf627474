"""How a program of ours ends: what it raised becomes one line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

DONE, WRONG, STOPPED, NO_READER = 0, 2, 130, 141  # the last two as a shell reports a signal
EXPLAINED = (ValueError, LookupError, OSError, RuntimeError, ImportError)
"""Errors that say in their message what to do; any other is a bug and shows its traceback."""


def run(work: Callable[[], int | None], name: str) -> int:
    """Do ``work`` and give the exit code of the program ``name``.

        sys.exit(run(lambda: certify(folder), "rsmooth certify"))

    0 where it went well (or what ``work`` returns), 2 after an error, 130 when interrupted.
    A KeyboardInterrupt may bear what its user is told. RSMOOTH_DEBUG=1 shows the traceback of an
    error.
    """
    try:
        code = work() or DONE
        sys.stdout.flush()
    except KeyboardInterrupt as told:
        print(f"{name}: {told.args[0] if told.args else 'stopped'}", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor shall the interpreter's own flush fail
        return NO_READER
    except EXPLAINED as error:
        if os.environ.get("RSMOOTH_DEBUG") == "1":
            raise
        print(f"{name}: error: {in_one_line(error)}", file=sys.stderr)
        return WRONG
    return code


def in_one_line(error: BaseException) -> str:
    """The message of an error, without line breaks; a file's error as the system words it."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        remedy = "; check the name" if isinstance(error, FileNotFoundError) else ""
        return f"{error.strerror}: {error.filename}{remedy}"
    return " ".join(str(error).split()) or type(error).__name__
