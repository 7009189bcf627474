"""Noisy images per second in certification: ours and the plain loop of the published code.

``python -m benchmarks certify-speed`` times both in turns on the same images at the same n. The
plain loop takes one image at a time in float32, and counts votes on the host after each batch. Its
batches are of 1000, its default, of 400, as its commands have it, and of the size that suits this
machine best. Ours is what ``certify_dataset`` runs. Start-up (imports of the workers,
compilation) has a column of its own, since it does not grow with the run. The weights are random,
which changes no timing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.roofline import images_a_second
from rsmooth.benchmarks.sizes import amount, count
from rsmooth.certify.run.stream import Event, certify_positions
from rsmooth.certify.run.workers import certify_with_workers
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import VotePool
from rsmooth.certify.votes.schedule import open_pool
from rsmooth.data.images import ImageData
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.processes import usable_cores
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

SIGMA = 0.25
# Channels and side of the images, and their classes, where they are not those of CIFAR-10.
IMAGES = {"resnet50": ((3, 224), 1000), "small-cnn": ((1, 8), 10)}


@dataclass(frozen=True)
class Way:
    """One way to run our certification; compiled: as in the numerics profile."""

    name: str
    precision: str
    compiled: str
    workers: int


@dataclass(frozen=True)
class Rate:
    """Noisy images per second after start-up, and the seconds of start-up."""

    samples_per_second: float
    startup_seconds: float


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    if options.plain_batches is None:
        options.plain_batches = [1000, 400] if _on_gpu(options) else [1000, 400, 128, 64, 32]
    if options.threads:
        torch.set_num_threads(options.threads)
    g, data = _problem(options)
    plain: dict[int, list[Rate]] = {size: [] for size in options.plain_batches}
    pools, failed = _open(g, data, options)
    ours: dict[Way, list[Rate]] = {way: [] for way in pools}
    for _ in range(options.repeats):  # in turns, so that both meet the same load of the machine
        for size, rates in plain.items():
            rates.append(_rate(_plain_loop(g, data, options.n, size), options.seconds, 1))
        for way, (pool, opening) in pools.items():
            rate = _rate(_our_loop(g, pool, data, way, options), options.seconds, way.workers)
            ours[way].append(replace(rate, startup_seconds=rate.startup_seconds + opening))
        result = _result(options, plain, ours)
        result["failed"] = failed
        result["roofline"] = (
            images_a_second(g.base, data.images.shape[1:]) if _on_gpu(options) else None
        )
        table = _table(result, options)
        # After each turn, so that a time limit costs no more than the last one.
        write_measurement(options.out, result, table)
    print(table)
    return 0


def _problem(options: argparse.Namespace) -> tuple[SmoothedClassifier, ImageData]:
    torch.manual_seed(0)
    (channels, side), classes = IMAGES.get(options.model, ((3, 32), 10))
    kind = {} if channels == 3 else {"in_channels": channels}
    base = MODELS.create(options.model, num_classes=classes, **kind).to(options.device).eval()
    count = 64
    images = torch.randint(0, 256, (count, channels, side, side), dtype=torch.uint8)
    data = ImageData(
        images,
        torch.zeros(count, dtype=torch.int64),
        torch.arange(count),
        classes,
        "random",
        "test",
    )
    return SmoothedClassifier(base, SIGMA, classes), data


def _ways(options: argparse.Namespace) -> list[Way]:
    if _on_gpu(options):
        return [
            Way("float32", "float32", "no", 1),
            Way("bfloat16", "bfloat16", "no", 1),
            Way("bfloat16, CUDA graph", "bfloat16", "cuda-graph", 1),
            Way("bfloat16, compiled", "bfloat16", "inductor", 1),
        ]
    workers = options.workers
    threads = (
        [
            Way("float32, one process of threads", "float32", "no", 1),
            Way("bfloat16, one process of threads", "bfloat16", "no", 1),
        ]
        if workers > 1
        else []
    )
    return [
        *threads,
        Way("float32", "float32", "no", workers),
        Way("float32, compiled", "float32", "inductor", workers),
        Way("bfloat16", "bfloat16", "no", workers),
        Way("bfloat16, compiled", "bfloat16", "inductor", workers),
    ]


def _on_gpu(options: argparse.Namespace) -> bool:
    return bool(torch.device(options.device).type == "cuda")


def _open(
    g: SmoothedClassifier, data: ImageData, options: argparse.Namespace
) -> tuple[dict[Way, tuple[VotePool, float]], dict[str, str]]:
    """The pool of each way with its start-up seconds, and the errors of ways that fail here."""
    pools: dict[Way, tuple[VotePool, float]] = {}
    failed: dict[str, str] = {}
    for way in _ways(options):
        start = time.perf_counter()
        try:
            pool = _pool(g, data, way, options)
            pool.network(torch.zeros((pool.network.batch, *pool.shape), device=options.device))
        except Exception as error:  # a missing compiler costs this row, not the measurement
            failed[way.name] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            print(f"{way.name} failed: {failed[way.name]}", flush=True)
        else:
            pools[way] = pool, time.perf_counter() - start
            print(f"{way.name}: ready after {pools[way][1]:.1f} s", flush=True)
    return pools, failed


def _pool(
    g: SmoothedClassifier, data: ImageData, way: Way, options: argparse.Namespace
) -> VotePool:
    shape = data.images.shape[1:]
    settings = _settings(way, options)
    plain = open_pool(g, noisy_images("integer", SIGMA, 0, shape), shape, settings, 1e8)
    if way.compiled == "no":
        return plain
    return VotePool(
        FixedBatchNetwork(g, replace(plain.network.profile, compiled=way.compiled)),
        plain.source,
        shape,
    )


def _settings(way: Way, options: argparse.Namespace) -> CertifySettings:
    precision: Any = way.precision
    return CertifySettings(
        n=options.n, precision=precision, compile="never", batch_size=options.batch, seed=0
    )


@torch.no_grad()
def _plain_loop(g: SmoothedClassifier, data: ImageData, n: int, batch: int) -> Iterator[Event]:
    """The published loop: one image at a time in batches of copies, votes counted after each."""
    device = next(g.parameters()).device
    while True:
        for row in range(len(data)):
            x: Tensor = (data.images[row].float() / 255).to(device)
            counts, left = np.zeros(g.num_classes, dtype=np.int64), n
            while left > 0:
                size = min(batch, left)
                copies = x.repeat((size, 1, 1, 1))
                noise = torch.randn_like(copies) * g.sigma
                votes = g.base(copies + noise).argmax(1).cpu().numpy()
                counts += np.bincount(votes, minlength=g.num_classes)
                left -= size
                yield "round", {"samples": size}


def _our_loop(
    g: SmoothedClassifier, pool: VotePool, data: ImageData, way: Way, options: argparse.Namespace
) -> Iterator[Event]:
    settings, positions = _settings(way, options), range(len(data))
    if way.workers == 1:
        return certify_positions(pool, data, settings, positions, {})
    return certify_with_workers(g, data, settings, pool.network.profile, positions, {}, way.workers)


def _rate(loop: Iterator[Event], seconds: float, workers: int) -> Rate:
    """Votes per second over ``seconds`` seconds, after the first rounds of every worker."""
    start = time.perf_counter()
    skip = 8 * workers  # rounds grow from one pass to a second's worth
    begin, drawn = 0.0, 0
    for kind, payload in loop:
        now = time.perf_counter()
        if kind != "round":
            continue
        if skip > 0:
            skip, begin = skip - 1, now
            continue
        drawn += payload["samples"]
        if now - begin >= seconds:
            loop.close()  # type: ignore[attr-defined]
            return Rate(drawn / (now - begin), begin - start)
    raise RuntimeError(
        f"expected a run of more than {seconds:g} s, got one that ended before; raise --n"
    )


def _result(
    options: argparse.Namespace, plain: dict[int, list[Rate]], ours: dict[Way, list[Rate]]
) -> dict[str, object]:
    speed = {
        size: statistics.median(rate.samples_per_second for rate in rates)
        for size, rates in plain.items()
    }
    best = max(speed, key=lambda size: speed[size])
    return {
        "model": options.model,
        "device": options.device,
        "n": options.n,
        "plain_samples_per_second": speed,
        "plain_best_batch": best,
        "plain_runs": {
            size: [rate.samples_per_second for rate in rates] for size, rates in plain.items()
        },
        "rows": [_row(way, rates, plain) for way, rates in ours.items()],
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "tf32": _on_gpu(options) and torch.backends.cudnn.allow_tf32,
        "provenance": provenance({"noise": 0}),
    }


def _row(way: Way, rates: list[Rate], plain: dict[int, list[Rate]]) -> dict[str, object]:
    return {
        "way": way.name,
        "workers": way.workers,
        "samples_per_second": statistics.median(rate.samples_per_second for rate in rates),
        "runs": [one.samples_per_second for one in rates],
        "ratios": {
            size: [
                one.samples_per_second / other.samples_per_second
                for one, other in zip(rates, others, strict=True)
            ]
            for size, others in plain.items()
        },
        "startup_seconds": statistics.median(one.startup_seconds for one in rates),
    }


def _table(result: dict[str, object], options: argparse.Namespace) -> str:
    rows = result["rows"]
    assert isinstance(rows, list)
    floor = result["roofline"]
    assert isinstance(floor, (float, type(None)))
    plain, best = result["plain_samples_per_second"], result["plain_best_batch"]
    assert isinstance(plain, dict)
    shown = [size for size in plain if size in (1000, 400, best)]
    lines = [
        _caption(result, options),
        "",
        "| way | processes | samples/s | "
        + "".join(f"to the plain loop's batch {size} | " for size in shown)
        + "start-up (s) |"
        + (" share of the limit |" * bool(floor)),
        "|---|---:|---:|" + "---:|" * len(shown) + "---:|" + ("---:|" * bool(floor)),
    ]
    for size, speed in plain.items():
        name = f"plain loop, float32, batch {size}" + (" (its best)" if size == best else "")
        ratios = "".join(f" {speed / plain[other]:.2f}x |" for other in shown)
        lines.append(f"| {name} | 1 | {speed:,.0f} |{ratios} |" + (" |" * bool(floor)))
    for row in rows:
        share = f" {row['samples_per_second'] / floor:.1%} |" if floor else ""
        cells = "".join(f"{_span(row['ratios'][size])} | " for size in shown)
        lines.append(
            f"| {row['way']} | {row['workers']} | {row['samples_per_second']:,.0f} | {cells}"
            f"{row['startup_seconds']:.1f} |{share}"
        )
    if floor:
        lines += [
            "",
            f"The limit is {floor:,.0f} images/s: what memory traffic and arithmetic allow on an "
            "H200.",
        ]
    return "\n".join(lines)


def _caption(result: dict[str, object], options: argparse.Namespace) -> str:
    made = result["provenance"]
    assert isinstance(made, dict)
    return (
        f"Certification speed, {options.model} on {options.device}: noisy images/s at "
        f"n={options.n:,} (median of {options.repeats} turns; "
        f"{made['gpu'] if result['roofline'] else made['cpu']}, {made['cores']} cores, torch "
        f"{made['versions']['torch']}, {made['date']}, commit {made['commit']}; load average of "
        f"the machine {result['load']:.1f}, so compare the ratios)"
    )


def _span(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} certify-speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model",
        default="resnet20",
        help="a registry name: resnet20, resnet110, resnet50 (224x224), small-cnn (8x8 digits)",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--n", type=count, default=100_000, help="samples per image")
    parser.add_argument("--seconds", type=amount, default=8.0, help="seconds per way and turn")
    parser.add_argument("--repeats", type=count, default=3, help="turns; the median counts")
    parser.add_argument(
        "--batch", type=count, help="noisy images per pass of ours; default: chosen automatically"
    )
    parser.add_argument(
        "--plain_batches",
        nargs="+",
        type=count,
        help="noisy images per pass of the plain loop; default: 1000 and 400, and on a CPU also "
        "128, 64 and 32",
    )
    parser.add_argument("--workers", type=count, default=usable_cores(), help="processes on a CPU")
    parser.add_argument(
        "--threads", type=count, help="threads per process; default: those of torch"
    )
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
