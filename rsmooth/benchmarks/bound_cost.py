"""The time of bounds in training, relative to a plain training step.

``python -m benchmarks bound-cost`` measures forward and backward of the worst-case cross-entropy by
intervals and by CROWN-IBP. A plain step is forward and backward of the network's own cross-entropy.
All take turns, in processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.sizes import count
from rsmooth.bounds.graph import Graph
from rsmooth.bounds.interval import pixel_box
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import BoundedPass, Bounds, worst_case_logits
from rsmooth.bounds.tracing import trace_network
from rsmooth.registry import MODELS

EPSILON = 2 / 255


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and return 0."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, y = torch.rand(options.batch, 3, 32, 32), torch.randint(10, (options.batch,))
    print(f"batch {options.batch}, float32, torch {torch.__version__}, one thread")
    print(f"{'network':<12}{'bound':<14}{'alone':>8}{'with clean pass':>18}   plain steps")
    for name in options.models:
        net = MODELS.create(name, num_classes=10)
        plain, *steps = _measured([_plain(net, x, y), *_all(net, x, y)], options.rounds)
        for at, method in enumerate(("ibp", "crown-ibp")):
            shown = [statistics.median(_ratios(steps[2 * at + k], plain)) for k in (0, 1)]
            print(f"{name:<12}{method:<14}{shown[0]:>8.2f}{shown[1]:>18.2f}", flush=True)
    return 0


def _ratios(times: list[float], plain: list[float]) -> list[float]:
    return [a / b for a, b in zip(times, plain, strict=True)]


def _plain(net: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    def step() -> None:
        net.train()
        cross_entropy(net(x), y).backward()  # type: ignore[no-untyped-call]

    return step


def _all(net: nn.Module, x: Tensor, y: Tensor) -> list[Callable[[], None]]:
    """Of each method the bounds alone, in eval mode, and beside a clean pass in train mode."""
    graph = trace_network(net)
    methods: tuple[Method, ...] = ("ibp", "crown-ibp")
    return [
        _step(net, graph, x, y, method, train=train)
        for method in methods
        for train in (False, True)
    ]


def _step(
    net: nn.Module, graph: Graph, x: Tensor, y: Tensor, method: Method, *, train: bool
) -> Callable[[], None]:
    def step() -> None:
        net.train(train)
        box = pixel_box(x, EPSILON)
        if train:
            done = BoundedPass(graph, box, x=x)
            loss = cross_entropy(worst_case_logits(done.margins(y, method)), y)
            loss = loss + cross_entropy(done.logits, y)
        else:
            margins = Bounds(graph.fixed(), box).margins(y, method)
            loss = cross_entropy(worst_case_logits(margins), y)
        loss.backward()  # type: ignore[no-untyped-call]

    return step


def _measured(steps: list[Callable[[], None]], rounds: int) -> list[list[float]]:
    """Seconds per step and round; the steps take turns, so that all meet the same load."""
    for step in steps:
        step()
    times: list[list[float]] = [[] for _ in steps]
    for _ in range(rounds):
        for step, column in zip(steps, times, strict=True):
            start = time.process_time()
            step()
            column.append(time.process_time() - start)
    return times


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} bound-cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--models", nargs="+", default=["small-cnn", "resnet8"])
    parser.add_argument("--batch", type=count, default=32)
    parser.add_argument("--rounds", type=count, default=5)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
