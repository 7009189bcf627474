"""Images per second in training, ours and a plain loop, for Gaussian training and SmoothAdv.

The plain loop is that of the published training scripts: float32, a DataLoader with worker
processes that decode, crop and flip one image at a time, noise from torch.randn, and ``.item()`` of
loss and accuracy after every step. Both take turns in one run, with the same batches, attack steps,
noise samples and optimiser steps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from rsmooth.attacks.pgd import PGD
from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance
from rsmooth.benchmarks.sizes import count, count_or_none
from rsmooth.data.images import ImageData
from rsmooth.defenses.trainer import Trainer
from rsmooth.defenses.variants import GaussianAugmentation, SmoothAdv
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

SIGMA, EPSILON, STEPS, CLASSES = 0.25, 0.5, 2, 10


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images by torchvision: one PIL image at a time, cropped, flipped and made a tensor."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        from torchvision import transforms

        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[position])), int(self.labels[position])


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --out write the figures as JSON."""
    options = _parser().parse_args(argv)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    draw = np.random.default_rng(0)
    images = draw.integers(
        256, size=(options.batch * (options.steps + options.warmup), 32, 32, 3), dtype=np.uint8
    )
    labels = draw.integers(CLASSES, size=len(images))
    ways = {"rsmooth": False} | ({"rsmooth, CUDA graphs": True} if device.type == "cuda" else {})
    rows: list[dict[str, object]] = []
    for name, m in (("gaussian", 1), ("smoothadv", options.num_noise)):
        plain: list[float] = []
        ours: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(options.repeats):
            plain.append(plain_rate(images, labels, name, m, options, device))
            for way, graphs in ways.items():
                ours[way].append(our_rate(images, labels, name, m, options, device, graphs))
        rows += [_row(name, m, way, plain, rates) for way, rates in ours.items()]
        # After each method, so that a time limit costs no more than the last one.
        if options.out:
            content = {
                "options": {k: v for k, v in vars(options).items() if k != "out"},
                "rows": rows,
                "provenance": provenance(),
            }
            replace_file(options.out, f"{json.dumps(content, indent=1)}\n".encode())
    print(_table(rows, options.model, device))
    return 0


def _row(method: str, m: int, way: str, plain: list[float], ours: list[float]) -> dict[str, object]:
    """The row of one way to train: medians, their ratio, and all rates."""
    medians = statistics.median(plain), statistics.median(ours)
    return {
        "method": method,
        "num_noise": m,
        "way": way,
        "plain": medians[0],
        "ours": medians[1],
        "ratio": medians[1] / medians[0],
        "all": {"plain": plain, "ours": ours},
    }


def plain_rate(
    images: np.ndarray,
    labels: np.ndarray,
    method: str,
    m: int,
    options: argparse.Namespace,
    device: torch.device,
) -> float:
    """Images per second of the plain loop, after its first ``warmup`` batches."""
    torch.manual_seed(0)
    model = (
        MODELS.create(options.model, num_classes=CLASSES, normalize="cifar10").to(device).train()
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loader = DataLoader(
        Pictures(images, labels),
        options.batch,
        shuffle=True,
        num_workers=options.workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
    )
    start = 0.0
    for number, (x, y) in enumerate(loader):
        if number == options.warmup:
            start = time.perf_counter()
        x, y = x.to(device), y.to(device)
        for part, target in zip(x.chunk(m), y.chunk(m), strict=True):
            _plain_step(model, optimizer, part, target, method, m)
    return float(options.batch * options.steps / (time.perf_counter() - start))


def _plain_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, method: str, m: int
) -> tuple[float, float]:
    """One step on a mini-batch with each image m times, as in the published scripts."""
    copies, targets = x.repeat_interleave(m, 0), y.repeat_interleave(m)
    noise = SIGMA * torch.randn_like(copies)
    if method == "smoothadv":
        copies = _plain_attack(model, x, y, noise, m).repeat_interleave(m, 0)
    logits = model(copies + noise)
    loss = functional.cross_entropy(logits, targets)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    optimizer.step()
    return loss.item(), (logits.argmax(1) == targets).float().mean().item()


def _plain_attack(model: nn.Module, x: Tensor, y: Tensor, noise: Tensor, m: int) -> Tensor:
    """PGD on the smoothed classifier: (B, C, H, W) -> (B, C, H, W), batch norm in eval mode."""
    model.eval().requires_grad_(False)
    delta = torch.zeros_like(x, requires_grad=True)
    for _ in range(STEPS):
        log_probs = (
            model((x + delta).repeat_interleave(m, 0) + noise).log_softmax(1).unflatten(0, (-1, m))
        )
        loss = functional.nll_loss(log_probs.logsumexp(1), y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, delta)
        with torch.no_grad():
            delta += 2 * EPSILON / STEPS * functional.normalize(gradient.flatten(1)).view_as(delta)
            delta.copy_((x + delta).clamp(0, 1) - x)
            delta.copy_(delta.flatten(1).renorm(2, 0, EPSILON).view_as(delta))
    model.train().requires_grad_(True)
    return (x + delta).detach()


def our_rate(
    images: np.ndarray,
    labels: np.ndarray,
    method: str,
    m: int,
    options: argparse.Namespace,
    device: torch.device,
    graphs: bool = False,
) -> float:
    """Images per second of the Trainer, after its first ``warmup`` batches."""
    torch.manual_seed(0)
    base = MODELS.create(options.model, num_classes=CLASSES, normalize="cifar10").to(device)
    data = ImageData(
        torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(labels),
        torch.arange(len(labels)),
        CLASSES,
        "random",
        "train",
    )
    marks = _Marks(options.warmup * m, device)
    trainer = _trainer(method, m, options, graphs)
    trainer.fit(SmoothedClassifier(base, SIGMA, CLASSES), data, progress=False, callback=marks)
    return float(options.batch * options.steps / marks.seconds())


class _Marks:
    """The time at which the warm-up's last step ended, and the time of the last step of all."""

    def __init__(self, first: int, device: torch.device) -> None:
        self.first, self.device = first, device
        self.start = 0.0

    def __call__(self, epoch: int, step: int) -> None:
        if step == self.first:
            self.start = self._now()

    def seconds(self) -> float:
        return self._now() - self.start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _trainer(method: str, m: int, options: argparse.Namespace, graphs: bool) -> Trainer:
    common = {
        "epochs": 1,
        "batch_size": options.batch,
        "num_noise": m,
        "lr": 0.01,
        "warmup_epochs": 0,
        "augment": True,
        "precision": options.precision,
        "compile": options.compile,
        "cuda_graphs": graphs,
    }
    if method == "gaussian":
        return GaussianAugmentation(**common)
    attack = PGD(epsilon=EPSILON, steps=STEPS, target="smoothed", objective="smoothadv")
    return SmoothAdv(attack=attack, **common)


def _table(rows: list[dict[str, object]], model: str, device: torch.device) -> str:
    lines = [
        f"Training speed, {model} on {device}, images/s (median; a noisy copy counts as part of "
        "its image)",
        "",
        "| method | m | way | plain loop | ours | ratio |",
        "|---|---:|---|---:|---:|---:|",
    ]
    lines += [
        f"| {row['method']} | {row['num_noise']} | {row['way']} | {row['plain']:,.0f} | "
        f"{row['ours']:,.0f} | {row['ratio']:.2f}x |"
        for row in rows
    ]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} train-speed",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--batch", type=count, default=256)
    parser.add_argument("--steps", type=count, default=4, help="timed batches")
    parser.add_argument(
        "--warmup",
        type=count_or_none,
        default=1,
        help="batches before the timed ones; on a GPU at least 5, since steps are recorded",
    )
    parser.add_argument(
        "--repeats", type=count, default=3, help="turns of each loop; the median counts"
    )
    parser.add_argument(
        "--num_noise", type=count, default=2, help="noise samples m of the SmoothAdv arm"
    )
    parser.add_argument(
        "--workers", type=count_or_none, default=2, help="worker processes of the plain DataLoader"
    )
    parser.add_argument(
        "--threads", type=count, help="threads of both loops; default: those of torch"
    )
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true", help="compile ours")
    parser.add_argument("--device")
    parser.add_argument("--out", type=user_path, help="JSON file for the figures")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
