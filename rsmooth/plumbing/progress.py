"""Progress bars: redrawn in place in a terminal or notebook, one line now and then in a file."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any, TextIO

from tqdm import tqdm

LINE_SECONDS = 30.0


def progress_bar(steps: Any = None, *, shown: bool, **options: Any) -> Any:
    """A bar of tqdm on stderr, as suits where this runs.

        for epoch in progress_bar(range(10), shown=True, desc="train"):
            ...

    steps: what is gone through; None where ``total`` says how much there is, and ``update`` moves
        the bar. options: of tqdm.

    In a terminal it is redrawn in place. In a notebook it is a widget where ipywidgets is
    installed, else a line redrawn in place. In a file or a pipe it writes one line per half minute
    and one at the end.
    """
    kind: Any = tqdm
    if shown and in_notebook() and find_spec("ipywidgets") is not None:
        kind = import_module("tqdm.notebook").tqdm
    return kind(steps, **{**bar_options(shown), **options})


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook, which shows what moves but is no terminal."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell" or "google.colab" in sys.modules


def bar_options(shown: bool) -> dict[str, Any]:
    """The options of tqdm for a bar on stderr.

        tqdm(epochs, desc="train", **bar_options(shown=True))

    In a file or a pipe, the bar writes one line per half minute and one at the end.
    """
    if not shown or sys.stderr.isatty() or in_notebook():
        return {"disable": not shown}
    return {
        "file": _Lines(sys.stderr),
        "mininterval": LINE_SECONDS,
        "maxinterval": LINE_SECONDS,
        "ncols": 100,
    }


class ProgressBar:
    """The bar of a certification: finished images, time left, votes per second.

        with ProgressBar(500, True, samples_each=100_100) as bar:
            bar.update(finished=0, samples=4096)

    images: of the whole run. done: those that an earlier run finished.
    samples_each: noisy images that one image takes, where that number is fixed. The bar then moves
        with the samples, and not only when an image is finished.
    """

    def __init__(
        self, images: int, shown: bool, *, done: int = 0, samples_each: int | None = None
    ) -> None:
        self._images = images
        self._samples_each = samples_each
        self._finished, self._samples, self._start = done, 0, time.perf_counter()
        self._first = done
        self._bar = progress_bar(
            shown=shown,
            total=images,
            initial=done,
            unit="image",
            desc="certify",
            bar_format="{desc}: {n:.1f}/{total} images |{bar}| {elapsed}<{remaining}{postfix}",
        )

    def update(self, finished: int, samples: int) -> None:
        """Add ``finished`` images and ``samples`` votes."""
        self._finished += finished
        self._samples += samples
        at = float(self._finished)
        if self._samples_each is not None:
            at = min(self._images, self._first + self._samples / self._samples_each)
        if self._samples:  # proofs draw none
            rate = self._samples / max(time.perf_counter() - self._start, 1e-9)
            self._bar.set_postfix_str(f"{rate:,.0f} samples/s", refresh=False)
        self._bar.update(at - self._bar.n)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()


class _Lines:
    """A text stream that starts a new line where tqdm returns to the start of the line.

    Blank lines are left out.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        for line in text.replace("\r", "\n").split("\n"):
            if line.strip():
                self._stream.write(line.rstrip() + "\n")

    def flush(self) -> None:
        self._stream.flush()
