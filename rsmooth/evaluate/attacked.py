"""Accuracy of a smoothed classifier on a data set under attack, as ``rsmooth attack`` prints it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack, check_untargeted
from rsmooth.attacks.checks import warn_without_gradient
from rsmooth.attacks.view import quick_view
from rsmooth.data.convert import Convertible, as_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.evaluate.empirical import Answers, measured_answers
from rsmooth.models.precision import Precision
from rsmooth.models.state import device_of
from rsmooth.plumbing.numbers import check_integer, check_seed
from rsmooth.plumbing.progress import progress_bar
from rsmooth.records.log import ABSTAIN
from rsmooth.smoothed import SmoothedClassifier, check_smoothed


@dataclass(frozen=True)
class UnderAttack:
    """N images under an attack: the shares that g classified correctly and abstained on.

        attack_data(g, splits.test, SmoothAdvPGD(epsilon=0.5, steps=20)).standard_error

    accuracy, abstained: fractions.
    norm: what epsilon is measured in; None without an attack.
    largest_norm: that of the longest perturbation, measured.
    without_gradient: images for which the attack found no gradient to follow. Its accuracy says
        nothing about these.
    """

    epsilon: float
    accuracy: float
    abstained: float
    images: int
    norm: str | None = None
    largest_norm: float = 0.0
    without_gradient: int = 0

    @property
    def standard_error(self) -> float:
        """The standard error of the accuracy, for N images drawn at random."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.images)

    def record(self) -> dict[str, Any]:
        """The figures as plain values, for JSON."""
        values = asdict(self)
        del values["images"]
        return {**values, "standard_error": self.standard_error}


def attack_data(
    g: SmoothedClassifier,
    data: ImageData | FolderData | Convertible,
    attack: Attack | None,
    *,
    num_noise: int = 16,
    n: int = 1000,
    alpha: float = 1e-3,
    seed: int = 0,
    batch_size: int = 32,
    precision: Precision = "auto",
    progress: bool = False,
) -> UnderAttack:
    """Accuracy and abstentions of g on a data set under ``attack``, by PREDICT.

        attack_data(g, splits.test, SmoothAdvPGD(epsilon=0.5, steps=20)).accuracy

    batch_size: images attacked at once. Further arguments as in ``answers_under_attack``; ``seed``
    also decides the noise of the attack. ValueError for a data set without images, and for an
    attack that leaves epsilon in its norm. A warning where the gradients vanish.
    """
    check_smoothed(g)
    data = as_data(data, g.num_classes)
    _check(data, attack, batch_size, seed)
    device, epsilon = device_of(g), 0.0 if attack is None else float(attack.epsilon)
    view = quick_view(g, to_unit(data.batch([0])[0]).to(device), precision)
    measure = partial(
        measured_answers,
        g,
        attack=attack,
        num_noise=num_noise,
        n=n,
        alpha=alpha,
        seed=seed,
        batch_size=num_noise * batch_size,
        generator=torch.Generator(device).manual_seed(seed),
        precision=precision,
        view=view,
    )
    tally, total = _Tally(), len(data)
    with _seeded(seed, device), _bar(total, f"epsilon {epsilon:.4g}", progress, {g, view}) as bar:
        for start in range(0, total, batch_size):
            positions = list(range(start, min(start + batch_size, total)))
            pixels, labels = data.batch(positions)
            x, y = to_unit(pixels).to(device), labels.to(device)
            tally.add(y, measure(x, y, index=data.index[positions]))
            bar.update(len(positions))
    warn_without_gradient(tally.without_gradient, total, stacklevel=3)
    return UnderAttack(
        epsilon,
        tally.right / total,
        tally.abstained / total,
        total,
        None if attack is None else attack.norm,
        tally.largest,
        tally.without_gradient,
    )


def _check(data: ImageData | FolderData, attack: Attack | None, batch_size: int, seed: int) -> None:
    if check_integer(batch_size, "batch_size", 32) < 1 or len(data) == 0:
        raise ValueError(
            f"expected batch_size >= 1 and at least one image, got {batch_size} and {len(data)}"
        )
    check_seed(seed)
    if attack is not None:
        check_untargeted(attack)


@dataclass
class _Tally:
    """Images that were right, abstained on, and without a gradient; the longest perturbation."""

    right: int = 0
    abstained: int = 0
    without_gradient: int = 0
    largest: float = 0.0

    def add(self, y: Tensor, found: Answers) -> None:
        self.right += int((found.answers == y).sum())
        self.abstained += int((found.answers == ABSTAIN).sum())
        self.without_gradient += int(found.without_gradient.sum())
        self.largest = max(self.largest, float(found.length.max()))


@contextmanager
def _bar(images: int, title: str, shown: bool, seen: set[SmoothedClassifier]) -> Iterator[Any]:
    """A bar of finished images that also tells the passes of the network, which take the time.

    seen: the classifiers whose bases are passed through. An attack on a batch may take minutes.
    """
    passes = 0
    bar = progress_bar(shown=shown, total=images, unit="image", desc=title, leave=False, miniters=0)

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1
        bar.set_postfix_str(f"{passes:,} passes", refresh=False)
        bar.update(0)

    hooks = [g.base.register_forward_hook(count) for g in seen] if shown else []
    try:
        yield bar
    finally:
        for hook in hooks:
            hook.remove()
        bar.close()


_one_seeded = threading.RLock()  # torch's own generator is that of all threads


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """A context in which ``seed`` decides the draws of attacks that take none from a generator.

    Torch's own generator is afterwards as it was. A second thread waits.
    """
    with _one_seeded, torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
