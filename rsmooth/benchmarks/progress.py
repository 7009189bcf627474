"""Progress of the arms, read from the files that they write."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rsmooth.benchmarks.arm import STATE

LINE_SECONDS = 30.0
Bar = Any  # tqdm is generic in its type stubs only


class Progress:
    """One bar for all arms and one for each running arm, with the time left.

    Without a terminal: a line per arm every half minute.
    """

    def __init__(self, arms: int, finished: int) -> None:
        self._terminal = sys.stderr.isatty()
        self._all: Bar = tqdm(
            total=arms,
            initial=finished,
            desc="arms",
            unit="arm",
            position=0,
            file=sys.stderr,
            disable=not self._terminal,
        )
        self._bars: dict[str, tuple[str, Bar]] = {}
        self._said = time.monotonic()

    def show(self, folders: dict[str, Path]) -> None:
        """Update the bars of the running arms."""
        if not self._terminal:
            self._say(folders)
            return
        for name, folder in folders.items():
            found = stage_progress(folder)
            if found is None:
                continue
            stage, unit, done, total = found
            if name not in self._bars or self._bars[name][0] != stage:
                self._drop(name)
                self._bars[name] = (
                    stage,
                    tqdm(
                        total=total,
                        initial=done,
                        desc=f"{name}: {stage}",
                        unit=unit,
                        file=sys.stderr,
                        position=self._free(),
                        leave=False,
                    ),
                )
            bar = self._bars[name][1]
            bar.total = total
            bar.update(done - bar.n)

    def _say(self, folders: dict[str, Path]) -> None:
        """Print a line for each running arm, every half minute."""
        if time.monotonic() - self._said < LINE_SECONDS:
            return
        self._said = time.monotonic()
        for name, folder in folders.items():
            found = stage_progress(folder)
            if found is not None:
                stage, unit, done, total = found
                print(f"{name}: {stage}, {unit} {done:g} of {total:g}", file=sys.stderr, flush=True)

    def settle(self, name: str, finished: bool) -> None:
        """Close the bar of an arm that has ended."""
        self._drop(name)
        if finished:
            self._all.update(1)
        if not self._terminal:
            print(
                f"{name}: {'finished' if finished else 'not finished'}", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        """Close all bars."""
        for name in list(self._bars):
            self._drop(name)
        self._all.close()

    def _drop(self, name: str) -> None:
        if name in self._bars:
            self._bars.pop(name)[1].close()

    def _free(self) -> int:
        taken = {-bar.pos for _, bar in self._bars.values()}
        return next(place for place in range(1, len(taken) + 2) if place not in taken)


def stage_progress(folder: Path) -> tuple[str, str, float, float] | None:
    """(stage, unit, done, total) of a running arm, or None before its first stage.

        stage_progress(Path("runs/digits/smoothadv"))  # ("train", "epoch", 3, 40)

    The unit of training is "epoch" or "s", that of certification "image".
    """
    state = _read_json(folder / STATE)
    if not state:
        return None
    if state["stage"] == "certify":
        done: float = sum(_count(path, b'"image"') for path in folder.glob("certificates*.jsonl"))
    elif state["stage"] == "audit":
        done = 0.0
    elif state["unit"] == "s":
        done = _seconds_trained(folder / "metrics.jsonl")
    else:
        done = _count(folder / "metrics.jsonl", b'"epoch"')
    return state["stage"], state["unit"], min(done, state["total"]), state["total"]


def _seconds_trained(path: Path) -> float:
    """The seconds of training up to the last finished epoch."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return 0.0
    return float(json.loads(lines[-1])["seconds"]) if lines else 0.0


def _count(path: Path, mark: bytes) -> int:
    """The lines with ``mark`` in a file that another process appends to."""
    try:
        return sum(mark in line for line in path.read_bytes().splitlines())
    except FileNotFoundError:
        return 0


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return content
