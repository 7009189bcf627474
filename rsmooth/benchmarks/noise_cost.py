"""The time of exact noise (sampling, adding, converting), relative to a forward pass.

``python -m benchmarks noise-cost`` measures the grid sampler, with NumPy's and with compiled Philox
words, the noise of training, likewise twice, and plain ``torch.randn``. The network has folded
batch norm, bfloat16 weights and channels-last memory, and runs on one thread. Noise and network
take turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.sizes import count
from rsmooth.models.folding import fold_batchnorm
from rsmooth.noise.grid import GridSampler, add_grid_noise, compilation_status, expect_noise
from rsmooth.noise.keys import derive_key
from rsmooth.noise.normal import compiled_normals, expect_normals, standard_normal
from rsmooth.registry import MODELS

Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Row:
    """Images per second of one noise and of the network; share: noise time / network time."""

    name: str
    noise_rate: float
    network_rate: float
    share: float


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table and return 0."""
    options = _parser().parse_args(argv)
    torch.set_num_threads(1)
    device = torch.device(options.device)
    images = torch.randint(0, 256, (options.batch, 3, 32, 32), dtype=torch.uint8, device=device)
    network = _network(options.model, images)
    print(
        f"{options.model}, batch {options.batch}, {device.type}, torch {torch.__version__}, one "
        "thread"
    )
    print(f"{'noise':<32}{'noise img/s':>14}{'network img/s':>16}{'share':>9}")
    for name, step in _noises(images):
        row = _measure(name, step, network, options.batch, options.rounds)
        print(
            f"{row.name:<32}{row.noise_rate:>14,.0f}{row.network_rate:>16,.0f}{row.share:>9.2%}",
            flush=True,
        )
    print("kernels:", {**compilation_status(), "training": compiled_normals.status})
    return 0


def _noises(images: Tensor) -> list[tuple[str, Step]]:
    """Name and step of each noise; keyed noise comes twice, before and after compilation."""

    def randn() -> Tensor:
        return images / 255 + 0.25 * torch.randn(images.shape, device=images.device)

    steps: list[tuple[str, Step]] = [("torch.randn, sigma 0.25", randn)]
    samplers = [GridSampler(sigma) for sigma in ("0.12", "0.25", "0.5", "1.0")]
    steps += [
        (f"grid, sigma {s.noise.decimal:g}", _grid_step(s, images, compiled=False))
        for s in samplers
    ]
    steps += [("training, sigma 0.25", _training_step(images, compiled=False))]
    steps += [("training compiled, sigma 0.25", _training_step(images, compiled=True))]
    return steps + [
        (f"grid compiled, sigma {s.noise.decimal:g}", _grid_step(s, images, compiled=True))
        for s in samplers
    ]


def _grid_step(sampler: GridSampler, images: Tensor, *, compiled: bool) -> Step:
    key = derive_key(0, "estimate")
    ids = torch.arange(len(images), device=images.device)

    def step() -> Tensor:
        noise = sampler.sample(key, ids, ids, (3, 32, 32), images.device)
        return add_grid_noise(images, noise)

    def announced() -> Tensor:
        expect_noise(2**44, images.device)
        return step()

    return announced if compiled else step


def _training_step(images: Tensor, *, compiled: bool) -> Step:
    key = derive_key(0, "train-noise", 0)
    ids = torch.arange(len(images), device=images.device)

    def step() -> Tensor:
        if compiled:
            expect_normals(2**44, images.device)
        noise = standard_normal(key, ids, ids, (3, 32, 32), images.device)
        return images / 255 + noise.mul_(0.25)

    return step


def _network(model: str, images: Tensor) -> Step:
    net = fold_batchnorm(MODELS.create(model, num_classes=10)).to(images.device, torch.bfloat16)
    net = net.to(memory_format=torch.channels_last)
    x = (images / 255).to(torch.bfloat16).to(memory_format=torch.channels_last)
    return torch.inference_mode()(lambda: net(x))


def _measure(name: str, noise: Step, network: Step, batch: int, rounds: int) -> Row:
    """Medians over rounds; noise and network take turns, so that both meet the same load."""
    for step in (noise, network, noise, network):
        step()
    times = [(_seconds(noise, 8), _seconds(network, 2)) for _ in range(rounds)]
    share = statistics.median(a / b for a, b in times)
    noise_time, network_time = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(name, batch / noise_time, batch / network_time, share)


def _seconds(step: Step, repeats: int) -> float:
    _wait()
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait()
    return (time.perf_counter() - start) / repeats


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} noise-cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="resnet20", help="a CIFAR model's registry name")
    parser.add_argument("--batch", type=count, default=128)
    parser.add_argument("--rounds", type=count, default=20)
    parser.add_argument("--device", default="cpu")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
