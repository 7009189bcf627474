"""Votes per second of a network in bfloat16 and in 8-bit integers, and the answers of both.

``python -m benchmarks int8-speed`` draws votes as certification does, noise and counting included,
in turns: bfloat16 as it is, bfloat16 compiled as a long certification runs it, and int8. The ratio
is formed turn by turn. It takes the seconds of this process, so that other jobs move the figures
less. The weights of ``--model`` are random, which changes no timing. With ``--data cifar10.npz`` it
also counts the right answers of a model that comes with the package, on test images with one noise
sample each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.sizes import count
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.profile import plain_profile
from rsmooth.data.arrays import npz
from rsmooth.data.convert import to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.int8.quantizing import quantize
from rsmooth.models.pretrained import load_model
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

SHAPE = torch.Size((3, 32, 32))
EACH = 100  # images per pass where answers are counted


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    counted = None if options.data is None else _counted(options)  # before any work
    pools = _pools(options)
    result: dict[str, Any] = {
        "model": options.model,
        "samples": options.samples,
        "numerics": {name: pool.network.profile.record() for name, pool in pools.items()},
        "seconds": _seconds(pools, options.samples, options.repeats),
        "load": os.getloadavg()[0],
        "provenance": provenance({"weights": 0, "noise": 0}),
    }
    if counted is not None:
        result["answers"] = _answers(*counted, options)
    table = _table(result)
    print(table)
    write_measurement(options.out, result, table)
    return 0


def _pools(options: argparse.Namespace) -> dict[str, VotePool]:
    """The ways to draw the same votes, each ready to run."""
    torch.manual_seed(0)
    base = MODELS.create(options.model, num_classes=10, normalize="cifar10")
    images = torch.rand(128, *SHAPE)
    with torch.no_grad():  # statistics of batch norm, so that activations are of usual sizes
        for _ in range(10):
            base(images + 0.25 * torch.randn(images.shape))
    g = SmoothedClassifier(base.eval(), 0.25, 10).eval()
    plain = plain_profile(g, SHAPE, CertifySettings(precision="bfloat16"))
    g8 = quantize(g, images)
    networks = {"bfloat16": FixedBatchNetwork(g, plain)}
    if options.compile:
        networks["bfloat16 compiled"] = FixedBatchNetwork(g, replace(plain, compiled="inductor"))
    networks["int8"] = FixedBatchNetwork(g8, plain_profile(g8, SHAPE, CertifySettings()))
    source = noisy_images("integer", g.noise, 0, SHAPE)
    return {name: VotePool(network, source, SHAPE) for name, network in networks.items()}


def _seconds(pools: dict[str, VotePool], samples: int, repeats: int) -> dict[str, list[float]]:
    image = torch.randint(0, 256, SHAPE, generator=torch.Generator().manual_seed(0)).byte()
    seconds: dict[str, list[float]] = {name: [] for name in pools}
    for turn in range(repeats + 1):
        for name, pool in pools.items():
            start = time.process_time()
            pool.count([Slice("estimate", image, 0, 0, samples)])
            if turn:  # the first one makes kernels and memory ready
                seconds[name].append(time.process_time() - start)
    return seconds


def _counted(
    options: argparse.Namespace,
) -> tuple[SmoothedClassifier, ImageData | FolderData, ImageData | FolderData]:
    """The shipped model whose answers are counted, and its training and test images."""
    data = npz(options.data)
    if data.test is None or data.train is None or len(data.train) < options.calibration:
        raise ValueError(
            f"expected test images and {options.calibration} training images in {options.data}, "
            f"got {len(data.test or ())} and {len(data.train or ())}; name another file, or give "
            "--calibration"
        )
    return load_model(options.trained), data.train, data.test


def _answers(
    g: SmoothedClassifier,
    training: ImageData | FolderData,
    test: ImageData | FolderData,
    options: argparse.Namespace,
) -> dict[str, Any]:
    """Right answers of a model under noise, by how it is executed, on the same noise."""
    train = to_unit(training.batch(list(range(options.calibration)))[0])
    step = max(1, len(test) // options.images)
    pixels, labels = test.batch(list(range(0, len(test), step))[: options.images])
    x = to_unit(pixels) + g.sample_noise(
        to_unit(pixels), 1, torch.Generator().manual_seed(0)
    ).squeeze(1)
    base8 = quantize(g, train).base
    found = {
        "float32": _logits(g.base, x, torch.float32),
        "bfloat16": _logits(g.base, x, torch.bfloat16),
        "int8": _logits(base8, x, torch.float32),
    }
    return {
        "model": options.trained,
        "images": len(x),
        "training images": len(train),
        "right": {name: int((each == labels).sum()) for name, each in found.items()},
        "as float32": {name: int((each == found["float32"]).sum()) for name, each in found.items()},
    }


@torch.no_grad()
def _logits(base: torch.nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
        return torch.cat([base(part).argmax(dim=1) for part in torch.split(x, EACH)])


def _table(result: dict[str, Any]) -> str:
    made, seconds = result["provenance"], result["seconds"]
    lines = [
        f"Votes of {result['model']} in turns of {result['samples']:,} samples, noise and counting "
        f"included (median of {len(seconds['int8'])} turns, ratios formed turn by turn; "
        f"{result['numerics']['int8']['device_name']}, {made['cpu']}, {made['threads']} threads, "
        f"torch {made['versions']['torch']}, {made['date']}, commit {made['commit']}; load average "
        f"{result['load']:.1f})",
        "",
        "| numerics | samples/s | int8 is faster by |",
        "|---|---:|---:|",
    ]
    for name, each in seconds.items():
        ratios = [a / b for a, b in zip(each, seconds["int8"], strict=True)]
        lines.append(
            f"| {name} | {result['samples'] / statistics.median(each):,.0f} | "
            f"{statistics.median(ratios):.2f}x ({min(ratios):.2f}-{max(ratios):.2f}) |"
        )
    if "answers" in result:
        lines += ["", *_answer_lines(result["answers"])]
    return "\n".join(lines)


def _answer_lines(answers: dict[str, Any]) -> list[str]:
    lines = [
        f"Right answers of {answers['model']} to {answers['images']} test images with one noise "
        f"sample each (integers by {answers['training images']} training images):",
        "",
        "| numerics | right | the answer of float32 |",
        "|---|---:|---:|",
    ]
    for name, right in answers["right"].items():
        share, same = (
            100 * count / answers["images"] for count in (right, answers["as float32"][name])
        )
        lines.append(f"| {name} | {share:.1f} % | {same:.1f} % |")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} int8-speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="resnet20", help="a registry name")
    parser.add_argument("--samples", type=count, default=1024, help="noisy images per turn")
    parser.add_argument("--repeats", type=count, default=7, help="turns; the median counts")
    parser.add_argument("--threads", type=count, help="threads; default: those of torch")
    parser.add_argument(
        "--no_compile",
        dest="compile",
        action="store_false",
        help="leave compiled bfloat16 out",
    )
    parser.add_argument("--data", type=user_path, help="cifar10.npz, to count right answers too")
    parser.add_argument("--trained", default="cifar10-sigma-0.25", help="a model of the package")
    parser.add_argument("--images", type=count, default=500, help="test images, evenly spaced")
    parser.add_argument("--calibration", type=count, default=512, help="training images")
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
