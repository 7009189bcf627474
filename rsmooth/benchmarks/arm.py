"""One arm in its own process: train, certify, record the cost.

``python -m rsmooth.benchmarks.arm FOLDER`` is what the runner calls.

The runner writes the options of the arm into FOLDER/arm.yaml. What is finished is not done again.
When the time is up, the process stops as if interrupted, and keeps its checkpoint and its journal.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.presets import Arm
from rsmooth.benchmarks.provenance import provenance
from rsmooth.plumbing import exits
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.memory import keep_freed_memory
from rsmooth.plumbing.parent import end_with_parent
from rsmooth.plumbing.processes import interrupt_after, interrupt_self, on_interrupts
from rsmooth.plumbing.yaml_text import load_yaml

ARM, STATE, TIMES, SUMMARY = "arm.yaml", "state.json", "times.jsonl", "summary.json"
STOPPED = exits.STOPPED


def main(argv: list[str] | None = None) -> int:
    """Run the arm of a folder; return 0 when finished, 130 when stopped, 2 after an error."""
    parser = argparse.ArgumentParser(allow_abbrev=False, prog="rsmooth.benchmarks.arm")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--command", help="the command line of the user, for the provenance")
    options = parser.parse_args(argv)
    keep_freed_memory()
    # As Ctrl-C, which training answers by saving the step under way.
    on_interrupts(interrupt_self)
    # End when the runner has ended, so that its successor finds no other process at work.
    end_with_parent(interrupt_self)
    try:
        return exits.run(lambda: _within(options), options.folder.name)
    except SystemExit:
        return STOPPED


def _within(options: argparse.Namespace) -> None:
    """Run the arm until its time is up."""
    time_is_up = interrupt_after(options.seconds)
    try:
        run_arm(options.folder, options.command)
    finally:
        time_is_up.cancel()  # what comes while the process ends would kill it


def run_arm(folder: Path, command: str | None = None) -> None:
    """Train and certify the arm of ``folder``, and write its summary.

        run_arm(Path("runs/digits/smoothadv"))

    The folders of the arms that it needs are beside it.
    """
    import torch

    from rsmooth.cli.signature import call
    from rsmooth.cli.verbs import VERBS

    if "OMP_NUM_THREADS" in os.environ:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    arm = Arm(folder.name, **load_yaml((folder / ARM).read_text(encoding="utf-8")))
    seeds: dict[str, Any] = {}
    if arm.train is not None:
        seeds["train"] = arm.train.get("seed", 0)
        options = arm.train_options(folder.parent)
        with _stage(folder, "train", _training_length(options)):
            call(VERBS.get("train"), {**options, "run": folder, "progress": False})
    if arm.certify is not None:
        seeds["certify"] = arm.certify.get("seed", 0)
        options = arm.certify_options(folder.parent)
        with _stage(folder, "certify", _images(options.get("source"), options)):
            call(VERBS.get("certify"), {**options, "progress": False})
    if arm.audit is not None:
        with _stage(folder, "audit", {"unit": "record", "total": 1}):
            options = arm.audit_options(folder.parent)
            call(VERBS.get("audit"), {**options, "progress": False})
    write_json(
        folder / SUMMARY,
        {
            **arm.as_dict(),
            "seconds": stage_seconds(folder),
            "provenance": provenance(seeds, command),
        },
    )


def stage_seconds(folder: Path) -> dict[str, dict[str, float]]:
    """Wall-clock and processor seconds per stage, summed over all calls."""
    total: dict[str, dict[str, float]] = {}
    for line in (folder / TIMES).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        stage = total.setdefault(entry["stage"], {"wall": 0.0, "cpu": 0.0})
        stage["wall"] += entry["wall"]
        stage["cpu"] += entry["cpu"]
    return total


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file; after a crash it is either the old or the new one."""
    replace_file(path, f"{json.dumps(content, indent=1)}\n".encode())


@contextmanager
def _stage(folder: Path, name: str, state: dict[str, Any]) -> Iterator[None]:
    """A context that records its stage for the progress bars, and its cost, however it ends."""
    write_json(folder / STATE, {"stage": name, **state})
    wall, cpu = time.perf_counter(), _cpu_seconds()
    try:
        yield
    finally:
        spent = {"stage": name, "wall": time.perf_counter() - wall, "cpu": _cpu_seconds() - cpu}
        _append_line(folder / TIMES, json.dumps(spent))


def _append_line(path: Path, line: str) -> None:
    """Append a line, whole or not at all: with half of one, no later call could read the file."""
    with path.open("ab", buffering=0) as file:
        size, content = os.fstat(file.fileno()).st_size, f"{line}\n".encode()
        try:
            written = file.write(content)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        if written != len(content):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def _training_length(asked: dict[str, Any]) -> dict[str, Any]:
    """The epochs, or the seconds of a budget, that the trainer will take."""
    from rsmooth.config.parts import build_trainer

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainer warns when it trains
        trainer = build_trainer(
            asked.get("trainer"), asked.get("attack"), asked.get("seed", 0), asked.get("preset")
        )
    if trainer.budget_seconds is not None:
        return {"unit": "s", "total": round(trainer.budget_seconds)}
    return {"unit": "epoch", "total": trainer.epochs}


def _images(folder: Path | None, asked: dict[str, Any]) -> dict[str, Any]:
    from rsmooth.config.images import choose_images

    data = choose_images(
        asked.get("dataset"),
        folder,
        split=asked.get("split", "test"),
        skip=asked.get("skip", 1),
        limit=asked.get("max"),
        only=asked.get("images"),
    )
    return {"unit": "image", "total": len(data)}


def _cpu_seconds() -> float:
    """Of this process and of its finished worker processes."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(main())
