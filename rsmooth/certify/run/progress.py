"""The progress bar of a certification: images, with the time left and the votes per second."""

from __future__ import annotations

import time
from types import TracebackType

from tqdm import tqdm

from rsmooth.plumbing.progress import bar_options


class ProgressBar:
    """Counts images as they finish; in between, the share of them that is drawn where the total is
    known.

    samples_each: noisy images that an image takes, where that is fixed; the bar then moves with the
    samples.
    """

    def __init__(
        self, images: int, shown: bool, *, done: int = 0, samples_each: int | None = None
    ) -> None:
        self._images = images
        self._samples_each = samples_each
        self._finished, self._samples, self._start = done, 0, time.perf_counter()
        self._first = done
        self._bar = tqdm(
            total=images,
            initial=done,
            unit="image",
            desc="certify",
            **bar_options(shown),
            bar_format="{desc}: {n:.1f}/{total} images |{bar}| {elapsed}<{remaining}{postfix}",
        )

    def update(self, finished: int, samples: int) -> None:
        """``finished`` images and ``samples`` votes more."""
        self._finished += finished
        self._samples += samples
        at = float(self._finished)
        if self._samples_each is not None:
            at = min(self._images, self._first + self._samples / self._samples_each)
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
