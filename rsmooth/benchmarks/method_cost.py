"""What an epoch of each training method costs, relative to Gaussian training.

``python -m benchmarks method-cost`` trains a fresh network for a few steps by each method, with the
settings published for CIFAR-10 at sigma 0.25. All methods take turns in every round, so that they
meet the same load. Measured are processor seconds of the steps per training image. What a method
does beside its steps is not in them: a teacher's training and votes (CAT-RS), and how easy the
images are (reweighting, 1.6 forward passes per image and epoch).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import time
import warnings
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import one_hot

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance
from rsmooth.benchmarks.sizes import count
from rsmooth.data.images import ImageData
from rsmooth.defenses.preset_files import preset, preset_names
from rsmooth.defenses.trainer import Trainer
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import ATTACKS, MODELS, TRAINERS
from rsmooth.report.tables import md_row, md_rule
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.loop import Callback

SIGMA, CLASSES = 0.25, 10
# The whole method from the first step on, at its full strength.
AT_ONCE: dict[str, dict[str, Any]] = {
    "macer": {"deferred_until": 0},
    "reweighting": {"since": 0, "drop_below": 0.0, "dropping_copies": 1},
}
# Where nothing is published at this sigma, that of another.
OF_SIGMA = {"ft-cadis": 1.0}


@dataclass(frozen=True)
class Method:
    """A method: its trainer with all options, and the passes per copy that its formula says.

    passes: forward and backward through the network count as one, a pass that only an attack needs
        as two thirds (no gradient of the weights).
    """

    name: str
    trainer: str
    options: dict[str, Any] = field(default_factory=dict)
    train_passes: int = 1

    def formula(self) -> float:
        """Passes per training image: m (passes + 2/3 of each attack step)."""
        attack = self.options.get("attack")
        steps: int = self.options.get("steps", 0) if attack is None else attack.steps
        m: int = self.options.get("num_noise", 1)
        return m * (self.train_passes + 2 * steps / 3)


def methods() -> list[Method]:
    """The methods with their published settings, Gaussian training first."""
    attack = ATTACKS.create("smoothadv-pgd", epsilon=255 / 256, steps=10)
    return [
        Method("gaussian", "gaussian"),
        _published("stability", passes=2),
        _published("consistency"),
        Method("smoothadv", "smoothadv", {"attack": attack, "num_noise": 4}),
        Method("smoothadv-consistency", "consistency", _options("consistency-smoothadv")),
        _published("macer"),
        _published("smoothmix", passes=2),
        _published("cat-rs", passes=2),
        _published("ft-cadis", passes=2),
        _published("reweighting"),
    ]


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --out write JSON and Markdown beside each other."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    wanted = None if options.only is None else {"gaussian", *options.only}
    chosen = [each for each in methods() if wanted is None or each.name in wanted]
    seconds: dict[str, list[float]] = {method.name: [] for method in chosen}
    for _ in range(options.rounds):
        for method in chosen:
            seconds[method.name].append(_seconds_per_image(method, options))
    rows = [_row(method, seconds) for method in chosen]
    made = provenance()
    table = _table(rows, options, made)
    print(table)
    if options.out is not None:
        shown = {k: v for k, v in vars(options).items() if k != "out"}
        content = {"options": shown, "rows": rows, "provenance": made}
        replace_file(options.out, f"{json.dumps(content, indent=1)}\n".encode())
        replace_file(options.out.with_suffix(".md"), table.encode())
    return 0


def _published(name: str, passes: int = 1) -> Method:
    return Method(name, name, _options(name), passes)


def _options(method: str) -> dict[str, Any]:
    """The published options of a method, at its full strength from the first step on."""
    sigma = OF_SIGMA.get(method, SIGMA)
    name = f"{method}-cifar10-{sigma}"
    assert name in preset_names(), name
    return {**preset(name), **AT_ONCE.get(method, {})}


def _row(method: Method, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Formula, medians and ranges of a method; ratios are taken round by round."""
    first = next(iter(seconds.values()))
    own = seconds[method.name]
    ratios = [a / b for a, b in zip(own, first, strict=True)]
    return {
        "method": method.name,
        "num_noise": method.options.get("num_noise", 1),
        "formula": method.formula(),
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "seconds_per_image": statistics.median(own),
        "all_seconds_per_image": own,
    }


def _seconds_per_image(method: Method, options: argparse.Namespace) -> float:
    """Processor seconds of the timed steps, of a fresh network, per training image."""
    torch.manual_seed(0)
    base = MODELS.create(options.model, num_classes=CLASSES, normalize="cifar10")
    marks: list[float] = []

    def mark(epoch: int, step: int) -> None:
        marks.append(time.process_time())
        if len(marks) > options.steps:
            raise _EnoughError

    with warnings.catch_warnings(), contextlib.suppress(_EnoughError):
        warnings.simplefilter("ignore")  # of steps that are too small to learn by
        run_steps(method, options, SmoothedClassifier(base, SIGMA, CLASSES), mark)
    images: int = options.step * (len(marks) - 1)
    return (marks[-1] - marks[0]) / images


class _EnoughError(Exception):
    """All steps that are to be timed are done."""


def run_steps(
    method: Method, options: argparse.Namespace, g: SmoothedClassifier, callback: Callback
) -> None:
    """Train g by a method, in steps of equally many images; the callback ends it."""
    trainer = _trainer(method, options)
    # Whole batches, which are cut into as many steps as there are copies.
    batches = math.ceil((options.steps + 1) / trainer.num_noise)
    data = _images(batches * trainer.batch_size)
    lean = 0.7 * one_hot(data.labels, CLASSES) + 0.3 / CLASSES
    extras = dict.fromkeys(trainer.needs, lean)
    trainer.fit(g, data, extras=extras, progress=False, callback=callback)


def _trainer(method: Method, options: argparse.Namespace) -> Trainer:
    """The trainer of steps of equally many images; what the steps' cost does not depend on is set.

    Weights hardly move, so that no method collapses or comes to stop its attack early.
    """
    m: int = method.options.get("num_noise", 1)
    common = {
        "batch_size": options.step * m,
        "num_noise": m,
        "epochs": 1,
        "lr": 1e-6,
        "schedule": "cosine",
        "lr_milestones": (),
        "warmup_epochs": 0,
        "augment": True,
        "precision": options.precision,
    }
    trainer: Trainer = TRAINERS.create(method.trainer, **{**method.options, **common})
    return trainer


def _images(count: int) -> ImageData:
    draw = torch.Generator().manual_seed(0)
    return ImageData(
        torch.randint(0, 256, (count, 3, 32, 32), generator=draw).to(torch.uint8),
        torch.arange(count) % CLASSES,
        torch.arange(count),
        CLASSES,
        "random",
        "train",
    )


def _table(rows: list[dict[str, Any]], options: argparse.Namespace, made: dict[str, Any]) -> str:
    columns = ("method", "m", "passes by formula", "measured", "range", "ms per image")
    lines = [
        "# Cost of an epoch, relative to Gaussian training",
        "",
        f"{options.model}, {options.precision}, one thread, {options.rounds} rounds in turns, "
        f"{options.steps} steps of {options.step} images after one that is not timed. Median and "
        "range of the ratios; processor time. Settings as published for CIFAR-10 at sigma 0.25 "
        "(FT-CADIS: 1.0).",
        "",
        md_row(*columns),
        md_rule(len(columns)),
    ]
    for row in rows:
        low, high = row["ratio_range"]
        lines.append(
            md_row(
                row["method"],
                str(row["num_noise"]),
                f"{row['formula']:.1f}",
                f"{row['ratio']:.2f}",
                f"{low:.2f} to {high:.2f}",
                f"{1000 * row['seconds_per_image']:.2f}",
            )
        )
    return "\n".join([*lines, "", f"{made['command']} · {made['cpu']} · {made['commit']}", ""])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} method-cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--step", type=count, default=16, help="images of an optimiser step")
    parser.add_argument("--steps", type=count, default=3, help="timed steps")
    parser.add_argument("--rounds", type=count, default=5)
    parser.add_argument("--only", nargs="+", metavar="METHOD", help="Gaussian and these")
    parser.add_argument("--out", type=user_path, help="JSON file; a .md of that name is beside it")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
