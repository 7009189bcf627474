"""What can be wrong with a record of certificates."""

from __future__ import annotations


class RecordError(ValueError):
    """A record that is damaged, incomplete, contradictory, or of another configuration."""


class LockedError(RecordError):
    """A record that another process is writing."""
