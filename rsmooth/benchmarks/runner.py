"""The runner: it runs the arms of a preset in jobs of their own, several at a time.

Finished arms are skipped, others are resumed. An arm that needs the model of another one starts
when that one is finished.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from rsmooth.benchmarks.arm import ARM, STOPPED, SUMMARY
from rsmooth.benchmarks.folder import note
from rsmooth.benchmarks.launchers import (
    OUTPUT,
    PATIENCE_SECONDS,
    POLL_SECONDS,
    Handle,
    Job,
    Launcher,
    Local,
)
from rsmooth.benchmarks.presets import Arm, Preset
from rsmooth.benchmarks.progress import Progress
from rsmooth.benchmarks.provenance import this_command
from rsmooth.config.environment import expanded
from rsmooth.config.folder import differing
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.yaml_text import dump_yaml, read_mapping

LOCAL = Local()
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
OURS = ("RSMOOTH_", "PYTHONPATH")


@dataclass
class Running:
    """A running arm: its folder and its job."""

    arm: Arm
    folder: Path
    handle: Handle


@dataclass(frozen=True)
class Outcome:
    """The arms that finished, that the time limit stopped, and that failed (with their output)."""

    finished: list[str]
    stopped: list[str]
    failed: dict[str, str]


def run(
    preset: Preset,
    out: Path,
    *,
    jobs: int | None = None,
    max_seconds: float | None = None,
    launcher: Launcher = LOCAL,
) -> Outcome:
    """Run all arms of ``preset`` below ``out``, each in the folder of its name.

        run(load_preset("digits"), Path("runs/digits"), max_seconds=520).stopped

    jobs: arms at a time; default: what the launcher takes. max_seconds: after this time no arm
    starts, and the running ones stop at a checkpoint; the same call continues later. launcher:
    where the arms run. ValueError for a folder that holds an arm of the same name with other
    options, for an arm that needs one which is neither finished nor to be run, and for one that
    names an environment variable which is not set.
    """
    out = user_path(out)
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    outcome = Outcome([], [], {})
    _check_needs(preset, out)
    waiting = [arm for arm in preset.arms if not is_finished(out / arm.name)]
    if isinstance(launcher, Local):  # elsewhere they may be set
        _check_variables(waiting)
    for arm in preset.arms:
        _claim(out / arm.name, arm)
    note(preset, out)
    outcome.finished.extend(arm.name for arm in preset.arms if arm not in waiting)
    running: list[Running] = []
    most = jobs or launcher.jobs(len(waiting), preset.jobs)
    progress = Progress(len(preset.arms), len(outcome.finished))
    try:
        while waiting or running:
            while len(running) < most and not _over(deadline):
                ready = _next(waiting, out)
                if ready is None:
                    break
                waiting.remove(ready)
                running.append(_start(ready, out, preset.threads, deadline, launcher))
            if not running:
                break
            time.sleep(POLL_SECONDS)
            progress.show({item.arm.name: item.folder for item in running})
            ended = [(item, code) for item in running if (code := item.handle.poll()) is not None]
            for item, code in ended:
                running.remove(item)
                _settle(item, code, outcome)
                progress.settle(item.arm.name, item.arm.name in outcome.finished)
    finally:
        try:
            _end(running)
        finally:
            progress.close()  # last: a terminal that is gone takes no bars
    _settle_waiting(waiting, outcome)
    return outcome


def is_finished(folder: Path) -> bool:
    """Whether the arm of a folder has its summary, which it writes last."""
    return (folder / SUMMARY).exists()


def _check_variables(arms: list[Arm]) -> None:
    """ValueError for a variable that is not set: hours later it would end an arm."""
    for arm in arms:
        expanded(arm.as_dict(), f"arm {arm.name}")


def _check_needs(preset: Preset, out: Path) -> None:
    chosen = {arm.name for arm in preset.arms}
    for arm in preset.arms:
        missing = [name for name in arm.needs if name not in chosen and not is_finished(out / name)]
        if missing and not is_finished(out / arm.name):
            raise ValueError(
                f"expected the arms that {arm.name} needs to be finished or chosen, got "
                f"{', '.join(missing)}, neither finished nor chosen; add "
                f"{'it' if len(missing) == 1 else 'them'} to --only"
            )


def _next(waiting: list[Arm], out: Path) -> Arm | None:
    """The first waiting arm that has all it needs."""
    return next(
        (arm for arm in waiting if all(is_finished(out / name) for name in arm.needs)), None
    )


def _settle_waiting(waiting: list[Arm], outcome: Outcome) -> None:
    """Settle arms that never started: failed if an arm that they need failed, else stopped."""
    for arm in waiting:
        broken = [name for name in arm.needs if name in outcome.failed]
        if broken:
            outcome.failed[arm.name] = f"not started, since it needs {', '.join(broken)}"
        else:
            outcome.stopped.append(arm.name)


def _claim(folder: Path, arm: Arm) -> None:
    path = folder / ARM
    if path.exists():
        found = differing(read_mapping(path, "remove that arm's folder"), arm.as_dict())
        if found:
            raise ValueError(
                f"expected the options that {path} holds, got {'; '.join(found)}; "
                "use another --out, or remove that arm's folder"
            )
        return
    replace_file(path, dump_yaml(arm.as_dict()).encode())


def _start(
    arm: Arm, out: Path, threads: int | None, deadline: float | None, launcher: Launcher
) -> Running:
    folder = out / arm.name
    numbers = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    # What a machine elsewhere cannot know: where our code and the data are.
    ours = {name: value for name, value in os.environ.items() if name.startswith(OURS)}
    left = None if deadline is None else time.time() + deadline - time.monotonic()
    job = Job(folder.resolve(), ("--command", this_command()), {**ours, **numbers}, left, threads)
    job.prepare()
    return Running(arm, folder, launcher.start(job))


def _settle(item: Running, code: int, outcome: Outcome) -> None:
    if code == 0 and is_finished(item.folder):
        outcome.finished.append(item.arm.name)
    elif code == STOPPED:
        outcome.stopped.append(item.arm.name)
    else:
        path = item.folder / OUTPUT
        said = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        outcome.failed[item.arm.name] = "\n".join([f"exit status {code}", *said.splitlines()[-15:]])


def _end(running: list[Running]) -> None:
    """Stop the arms that still run, as Ctrl-C would; each saves the current step.

    They have sessions of their own, so that a Ctrl-C in the terminal reaches each of them once,
    from here.
    """
    for item in running:
        item.handle.interrupt()
    patience = time.monotonic() + PATIENCE_SECONDS
    while running and time.monotonic() < patience:
        time.sleep(POLL_SECONDS)
        running = [item for item in running if item.handle.poll() is None]
    for item in running:
        item.handle.kill()


def _over(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline


def read_summary(folder: Path) -> dict[str, object]:
    """The summary of a finished arm."""
    content: dict[str, object] = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    return content
