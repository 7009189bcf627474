"""Paths as users write them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(path: str | os.PathLike[str]) -> Path:
    """A path that a user wrote, with the home folder in place of a leading ``~``.

        user_path("~/runs/a")       # Path("/home/me/runs/a")
        user_path("runs/~a")        # Path("runs/~a")

    A shell does so, but not in ``--out=~/a``, and Python and YAML do not. ``~NAME`` is the home of
    that user, where there is one. Any other ``~`` is a letter like others, and ``./~`` is a file of
    this name. A second call changes nothing.
    """
    found = Path(os.path.expanduser(os.fspath(path)))
    # pathlib drops the dot of "./~", by which the next call would know that no home is meant.
    again = os.path.expanduser(found) != os.fspath(found)
    return Path.cwd() / found if again else found
