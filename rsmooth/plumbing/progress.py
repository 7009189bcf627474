"""Progress bars: redrawn in place in a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
from typing import Any, TextIO

LINE_SECONDS = 30.0


def bar_options(shown: bool) -> dict[str, Any]:
    """Options of tqdm for a bar on stderr; into a file or a pipe it writes a line every half
    minute, and at the end.
    """
    if not shown or sys.stderr.isatty():
        return {"disable": not shown}
    return {
        "file": _Lines(sys.stderr),
        "mininterval": LINE_SECONDS,
        "maxinterval": LINE_SECONDS,
        "ncols": 100,
    }


class _Lines:
    """A stream on which going back to the start of the line starts a new one; blank lines are left
    out.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        for line in text.replace("\r", "\n").split("\n"):
            if line.strip():
                self._stream.write(line.rstrip() + "\n")

    def flush(self) -> None:
        self._stream.flush()
