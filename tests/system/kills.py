"""Kills commands at random moments, starts them again, and compares with what nobody disturbed.

    python -m tests.system.kills 200            # kills of each command; one core, 25 minutes
    python -m tests.system.kills 50 train grid  # only the commands that begin so

A command is killed (SIGKILL) and started again, until once it ends. Then labels, radii, votes and
margins, or weights and metrics, are compared bit for bit; seconds are no result.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from rsmooth.certify.run import stream
from rsmooth.certify.votes import schedule
from rsmooth.cli import main as rsmooth
from rsmooth.records.files import read_log
from rsmooth.records.log import PROOFS, VOTES, CertificationLog
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.processes import PROCESSES

LONGEST = 120.0
Facts = dict[str, bytes]
"""What a finished command left, by the name of each part."""

TRAIN = shlex.split(
    "--dataset digits --sigma 0.25 --model small-cnn --model.width 4 --trainer smoothadv "
    "--trainer.epochs 3 --trainer.num_noise 2 --trainer.precision float32 "
    "--trainer.checkpoint_seconds 0.03 --attack smoothadv-pgd --attack.epsilon 64/255 "
    "--attack.steps 1 --progress false"
)
CERTIFY = shlex.split("--dataset digits --max 30 --workers 1 --progress false")
SMOOTHED = [*CERTIFY, *shlex.split("--n 1000 --n0 50 --precision float32")]


@dataclass(frozen=True)
class Command:
    """One command line.

    argv: what to call in a folder with a trained model.
    left: what it has left in its own folder, in comparable form.
    first: the file whose appearance shows that work has been kept.
    """

    argv: Callable[[Path, Path], list[str]]
    left: Callable[[Path], Facts]
    first: str


@dataclass
class Found:
    """How often a command was killed, how often after its first write, and what came of it.

    parts: the names of what differed.
    """

    kills: int = 0
    late: int = 0
    compared: int = 0
    different: int = 0
    parts: set[str] = field(default_factory=set)


# ---- what a command leaves


def columns_of(log: CertificationLog) -> Facts:
    """All columns of a log but the time."""
    names = ("idx", "label", "predict", "radius", "correct", *VOTES, *PROOFS)
    columns = {name: getattr(log, name) for name in names}
    return {name: column.tobytes() for name, column in columns.items() if column is not None}


def certificates(folder: Path) -> Facts:
    """The journal and the table; no certificate is written twice."""
    journal, table = folder / "certificates.jsonl", folder / "certificates.tsv"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    found = {f"journal {name}": column for name, column in columns_of(read_log(journal)).items()}
    found |= {f"table {name}": column for name, column in columns_of(read_log(table)).items()}
    found["images"] = str(sum(line["kind"] == "image" for line in lines)).encode()
    return found | names_in(folder)


def training(folder: Path) -> Facts:
    """The weights at the end and the best ones, and the metrics without seconds."""
    found = names_in(folder)
    for name in ("model.pt", "best.pt"):
        weights = SmoothedClassifier.load(folder / name).base.state_dict()
        found |= {f"{name} {part}": tensor.numpy().tobytes() for part, tensor in weights.items()}
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{**json.loads(line), "seconds": 0} for line in lines]
    return {**found, "metrics": json.dumps(rows).encode()}


def names_in(folder: Path) -> Facts:
    return {"files": " ".join(sorted(os.listdir(folder))).encode()}


def certifying(*options: str, model: str = "model.pt", of: list[str] = SMOOTHED) -> Command:
    def argv(folder: Path, models: Path) -> list[str]:
        out = str(folder / "certificates.jsonl")
        return ["certify", str(models / model), *of, *options, "--out", out]

    return Command(argv, certificates, "certificates.jsonl")


COMMANDS = {
    "fixed": certifying("--mode", "fixed"),
    "grid": certifying("--mode", "grid", "--radii", "0.1,0.2,0.4"),
    "radius": certifying("--mode", "radius", "--radius", "0.2"),
    "anytime": certifying("--mode", "anytime", "--tolerance", "0.05"),
    "linf": certifying(
        "--norm", "linf", "--epsilons", "1/255,4/255,8/255", model="plain.pt", of=CERTIFY
    ),
    "train": Command(lambda folder, _: ["train", str(folder), *TRAIN], training, "checkpoint.pt"),
}


# ---- running and killing


def execute(argv: list[str]) -> None:
    """What each process does: the command, in many small steps, so that a kill meets some."""
    torch.set_num_threads(1)
    schedule.MOST_PASSES = 1
    stream.CHECKPOINT_SECONDS = stream.LOST_SECONDS = 0.0
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        status = rsmooth(argv)
    raise SystemExit(status)


def launch(argv: list[str]) -> Any:
    process = PROCESSES.Process(target=execute, args=(argv,))
    process.start()
    return process


def finish(argv: list[str]) -> float:
    """Run the command to its end, and return its seconds."""
    start = time.monotonic()
    process = launch(argv)
    process.join(LONGEST)
    if process.exitcode != 0:
        raise RuntimeError(f"expected {argv} to end, got exit code {process.exitcode}")
    return time.monotonic() - start


def make_models(folder: Path) -> None:
    """The models to certify: a trained one, and one without noise."""
    finish(["train", str(folder / "run"), *TRAIN])
    (folder / "run" / "model.pt").rename(folder / "model.pt")
    torch.manual_seed(0)
    base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[64, 64])
    SmoothedClassifier(base, sigma=0.0, num_classes=10).save(folder / "plain.pt")


def killed(command: Command, argv: list[str], folder: Path, moment: float, found: Found) -> bool:
    """Whether the process lived until the moment, at which it is killed."""
    process = launch(argv)
    process.join(moment)
    if process.exitcode == 0:
        return False
    process.kill()
    process.join()
    if process.exitcode == 0:  # it ended in between
        return False
    if process.exitcode != -9:
        raise RuntimeError(f"expected {argv} to go on, got exit code {process.exitcode}")
    found.kills += 1
    found.late += (folder / command.first).exists()
    return True


def try_command(command: Command, models: Path, count: int, seed: int = 0) -> Found:
    """Kill a command so many times, and compare each run that came to its end."""
    found, generator = Found(), random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        undisturbed = Path(name) / "undisturbed"
        seconds = finish(command.argv(undisturbed, models))
        truth = command.left(undisturbed)
        while found.kills < count:
            folder = Path(name) / str(found.compared)
            argv = command.argv(folder, models)
            while found.kills < count:
                if not killed(command, argv, folder, generator.uniform(0, seconds), found):
                    break
            finish(argv)
            found.compared += 1
            left = command.left(folder)
            found.different += left != truth
            found.parts |= {part for part in {*left, *truth} if left.get(part) != truth.get(part)}
    return found


def main(arguments: list[str]) -> int:
    """Print what came of the kills of each command; 1 where a result differs."""
    count, wanted = int(arguments[0]) if arguments else 20, tuple(arguments[1:]) or ("",)
    different = 0
    with tempfile.TemporaryDirectory() as name:
        make_models(Path(name))
        for command in [each for each in COMMANDS if each.startswith(wanted)]:
            start = time.perf_counter()
            found = try_command(COMMANDS[command], Path(name), count)
            print(
                f"{command}: {found.kills} kills, {found.late} after the first write; "
                f"{found.compared} results, {found.different} different {sorted(found.parts)} "
                f"({time.perf_counter() - start:.0f} s)",
                flush=True,
            )
            different += found.different
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
