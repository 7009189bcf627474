"""Errors of the files that a run leaves and continues from: records and checkpoints."""

from __future__ import annotations


class RecordError(ValueError):
    """A record or checkpoint that is damaged, incomplete, contradictory or of another run."""


class LockedError(RecordError):
    """A record or run folder that another process is writing."""
