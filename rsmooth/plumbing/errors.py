"""What can be wrong with a file that a run leaves and goes on from: a record of certificates, a
checkpoint.
"""

from __future__ import annotations


class RecordError(ValueError):
    """A record or checkpoint that is damaged, incomplete, contradictory, or of another
    configuration.
    """


class LockedError(RecordError):
    """A record or run folder that another process is writing."""
