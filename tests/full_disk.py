"""A disk on which no large file has room."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def small_files_only(most: int = 1000) -> Iterator[None]:
    """The kernel refuses to let a file grow beyond ``most`` bytes, as it does on a full disk.

    No fixture: pytest writes to its own output before a fixture ends, and that may be a file.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
