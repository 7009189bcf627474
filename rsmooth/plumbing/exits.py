"""How a program of ours ends: what it raised becomes one line on stderr and an exit code."""

from __future__ import annotations

import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

DONE, WRONG, STOPPED, NO_READER = 0, 2, 130, 141  # the last two as a shell reports a signal
DEBUG = "RSMOOTH_DEBUG"
EXPLAINED = (ValueError, OSError, RuntimeError, ImportError)
"""Kinds of errors that say what to do. Of any other kind, and of those below, only our own do."""
UNEXPLAINED = (UnicodeError, RecursionError, NotImplementedError)


def run(
    work: Callable[[], int | None], name: str, reword: Callable[[str], str] | None = None
) -> int:
    """Do ``work`` and give the exit code of the program ``name``.

        sys.exit(run(lambda: certify(folder), "rsmooth certify"))

    0 where it went well (or what ``work`` returns), 2 after an error, 130 when interrupted.
    A KeyboardInterrupt may bear what its user is told. An error of any type is one line. One that
    nobody explained is called unexpected there. RSMOOTH_DEBUG=1 shows the traceback before it.

    reword: what turns the line into the words of this program.
    """
    _open_what_is_closed()
    _write_what_the_stream_can()
    try:
        code = work() or DONE
        sys.stdout.flush()
    except KeyboardInterrupt as told:
        _say(f"{name}: {told.args[0] if told.args else 'stopped'}")
        return STOPPED
    except BrokenPipeError:  # as behind `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nor shall the interpreter's own flush fail
        return NO_READER
    except Exception as error:
        if os.environ.get(DEBUG) == "1":
            traceback.print_exc()
        line = in_one_line(error)
        if reword is not None:
            with suppress(Exception):  # the error itself is what has to be said
                line = reword(line)
        _say(f"{name}: error: {line}")
        return WRONG
    return code


def _say(line: str) -> None:
    """Print a line to stderr, if anybody takes it: the exit code says the same."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # the interpreter shall not fail at it again
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _open_what_is_closed() -> None:
    """Put the null device where a shell closed stdin, stdout or stderr, as ``>&-`` does.

    Else the next file that is opened takes the number, and what a library prints goes into it.
    """
    with suppress(OSError):
        while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
            os.set_inheritable(number, True)
        os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # and so is __stdout__
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def _write_what_the_stream_can() -> None:
    """Let output be readable where its encoding lacks a letter, such as the sigma of a report."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def in_one_line(error: BaseException) -> str:
    """The message of an error, without line breaks; a file's error as the system words it.

    in_one_line(KeyError("sigma"))    # "unexpected KeyError: 'sigma'; ..."
    """
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        remedy = "; check the name" if isinstance(error, FileNotFoundError) else ""
        return f"{error.strerror}: {error.filename}{remedy}"
    # str(KeyError) is the repr of its message.
    said = error.args[0] if isinstance(error, KeyError) and error.args else error
    message = " ".join(str(said).split())
    if isinstance(error, MemoryError) or _says_no_memory(error, message):
        return (
            f"expected enough memory, got none left{f' ({message})' if message else ''}; take "
            "smaller batches, fewer images or fewer workers, or check the size that a file declares"
        )
    if re.search(r"\bexpected\b", message) or (
        message and isinstance(error, EXPLAINED) and not isinstance(error, UNEXPLAINED)
    ):
        return message
    return (
        f"unexpected {type(error).__name__}{_quoted(said, message)}; this may be a fault of "
        f"rsmooth or of a plug-in: report it with what the same command shows under {DEBUG}=1"
    )


def _says_no_memory(error: BaseException, message: str) -> bool:
    """Whether torch says so, of the memory of the machine or of a GPU, which is a RuntimeError."""
    said = r"can't allocate memory|not enough memory|out of memory"
    return isinstance(error, RuntimeError) and re.search(said, message) is not None


def _quoted(said: object, message: str) -> str:
    return f": {said!r}" if isinstance(said, str) else f": {message}" if message else ""
