"""Errors of records and checkpoints, and remedies in words that work where they are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class RecordError(ValueError):
    """A record or checkpoint that is damaged, incomplete, contradictory or of another run."""


class EmptyRecordError(RecordError):
    """A record without any result yet, as a run that has just begun leaves it.

    asked: the results that it shall have; 0 where it does not say.
    """

    def __init__(self, message: str, asked: int = 0) -> None:
        super().__init__(message)
        self.asked = asked


class LockedError(RecordError):
    """A record or run folder that another process is writing."""


_where = {"command line": False}  # of the whole process, so that threads see it too


@contextmanager
def on_command_line() -> Iterator[None]:
    """A context in which remedies are those of the command line."""
    before = _where["command line"]
    _where["command line"] = True
    try:
        yield
    finally:
        _where["command line"] = before


def remedy(python: str, command: str) -> str:
    """What to do, in words that work where the message is read: in Python or on a command line.

    remedy('give arch="resnet20"', "give --arch resnet20")
    """
    return command if _where["command line"] else python
