"""Attacks per second, called as users call them: on the model as it is, and on a quicker view.

``python -m benchmarks attack-speed`` calls each attack in each precision in turns, on the same
images and noise, and forms the ratio of a turn. On a CPU it takes the seconds of this process, so
that other jobs move the figures less. The weights are random, which changes no timing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack
from rsmooth.attacks.ddn import SmoothAdvDDN
from rsmooth.attacks.pgd import SmoothAdvPGD
from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.sizes import count
from rsmooth.models.precision import Precision
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

PRECISIONS: tuple[Precision, ...] = ("float32", "auto", "bfloat16")


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    base = MODELS.create(options.model, num_classes=10).to(options.device).eval()
    g = SmoothedClassifier(base, 0.25, 10)
    x = torch.rand(options.images, 3, 32, 32, device=options.device)
    y = torch.randint(0, 10, (options.images,), device=options.device)
    rows = [
        _compare(name, attack, m, g, x, y, options)
        for name, attack in (
            ("smoothadv-pgd", SmoothAdvPGD(epsilon=0.5, steps=options.steps)),
            ("smoothadv-ddn", SmoothAdvDDN(epsilon=0.5, steps=options.steps)),
        )
        for m in options.num_noise
    ]
    result = {
        "model": options.model,
        "device": options.device,
        "images": options.images,
        "steps": options.steps,
        "rows": rows,
        "load": os.getloadavg()[0],
        "provenance": provenance({"weights": 0}),
    }
    table = _table(result, options)
    print(table)
    write_measurement(options.out, result, table)
    return 0


def _compare(
    name: str,
    attack: Attack,
    m: int,
    g: SmoothedClassifier,
    x: Tensor,
    y: Tensor,
    options: argparse.Namespace,
) -> dict[str, Any]:
    noise = g.sample_noise(x, m)
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    for turn in range(options.repeats + 1):
        for precision in PRECISIONS:
            start = _clock(x)
            attack(g, x, y, noise=noise, precision=precision)
            if turn:  # the first one makes kernels and memory ready
                seconds[precision].append(_clock(x) - start)
    ratios = {
        precision: [a / b for a, b in zip(seconds["float32"], seconds[precision], strict=True)]
        for precision in PRECISIONS
    }
    return {"attack": name, "num_noise": m, "seconds": seconds, "ratios": ratios}


def _clock(x: Tensor) -> float:
    if x.device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(x.device)
    return time.perf_counter()


def _table(result: dict[str, Any], options: argparse.Namespace) -> str:
    made = result["provenance"]
    lines = [
        f"Attacks of {options.steps} steps on {options.images} images, {options.model} on "
        f"{options.device}, each call with all that it does (median of {options.repeats} turns, "
        f"least and largest ratio of a turn; {made['gpu'] or made['cpu']}, {made['threads']} "
        f"threads, torch {made['versions']['torch']}, {made['date']}, commit {made['commit']}; "
        f"load average {result['load']:.1f})",
        "",
        "| attack | samples | precision | images/s | ratio to float32 |",
        "|---|---:|---|---:|---:|",
    ]
    for row in result["rows"]:
        for precision in PRECISIONS:
            rate = options.images / statistics.median(row["seconds"][precision])
            ratios = row["ratios"][precision]
            lines.append(
                f"| {row['attack']} | {row['num_noise']} | {precision} | {rate:,.1f} | "
                f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f}) |"
            )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} attack-speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="resnet20", help="a registry name")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=count, default=32, help="images per call")
    parser.add_argument("--steps", type=count, default=10)
    parser.add_argument("--num_noise", nargs="+", type=count, default=[4], help="samples per image")
    parser.add_argument("--repeats", type=count, default=5, help="turns; the median counts")
    parser.add_argument("--threads", type=count, help="threads; default: those of torch")
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
