"""Which normalisation and noise a network is for: each is tried on images whose class is known.

All settings see the same images and the same noise. So two of them are compared image by image, by
an exact sign test on the images that only one of them gets right (McNemar 1947). How many images
are tried depends on the multiply-adds of the network and on nothing else, so that the same call
gives the same report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rsmooth.doctor.cost import multiply_adds

SIGMAS = (0.0, 0.12, 0.25, 0.5, 1.0)
BUDGET = 300e9  # multiply-adds of one trial: less than a minute of one core
LEVEL = 0.01  # of all comparisons of one question together
_FIRST, _LEAST, _MOST = (10, 64), 48, 400
_BATCH = 32

Answers = NDArray[np.int64]


@dataclass
class Trial:
    """What a network answered.

    labels: (N,) of the images. answers: by normalisation and sigma, the classes (N',) of the first
    N' images. count: the most of them. ask: what answers further ones.
    """

    labels: Answers
    answers: dict[tuple[str, float], Answers] = field(default_factory=dict)
    count: int = 0
    ask: Ask | None = None

    def complete(self, normalization: str, sigmas: Sequence[float]) -> None:
        """Try one normalisation at each sigma on as many images as any setting was."""
        for sigma in sigmas:
            setting = (normalization, sigma)
            if self.ask and len(self.answers.get(setting, ())) < self.count:
                self.answers[setting] = self.ask(normalization, sigma, self.count)

    def right(self, normalization: str, sigma: float) -> NDArray[np.bool_]:
        """Whether each image was answered rightly, (N',)."""
        given = self.answers[normalization, sigma]
        return np.asarray(given == self.labels[: len(given)])

    def accuracy(self, normalization: str, sigma: float) -> float:
        """The share of right answers."""
        return float(self.right(normalization, sigma).mean())

    def best(self, normalization: str | None = None) -> tuple[str, float]:
        """The setting of the largest accuracy, among those that saw the most images.

        Of all normalisations or of one.
        """
        among = [s for s in self.answers if normalization in (None, s[0])]
        most = max(len(self.answers[s]) for s in among)
        among = [s for s in among if len(self.answers[s]) == most]
        return max(among, key=lambda s: (self.accuracy(*s), -s[1]))

    def normalizations(self) -> list[str]:
        """The names that were tried."""
        return list(dict.fromkeys(name for name, _ in self.answers))

    def sigmas(self, normalization: str) -> list[float]:
        """The sigmas that were tried with a normalisation, in increasing order."""
        return sorted(sigma for name, sigma in self.answers if name == normalization)


def run_trial(
    net: nn.Module,
    layers: Mapping[str, nn.Module],
    x: Tensor,
    labels: Tensor,
    sigmas: Sequence[float] = SIGMAS,
    *,
    likely: Sequence[str] = (),
    seed: int = 0,
    budget: float = BUDGET,
) -> Trial:
    """Try each normalisation at each sigma on a few images, and those that may be right on more.

        trial = run_trial(base[1], {"cifar10": Normalize(*constants)}, x, labels)

    net: without normalisation, in eval mode: images (N, C, H, W) -> logits (N, K).
    layers: the normalisations by name. x: images in [0, 1]. labels: (N,).
    likely: normalisations that other evidence leaves; then only these and the best one are tried
        on more images.
    """
    forwards = budget / multiply_adds(net, next(iter(layers.values()))(x[:1]))
    ask = Ask(
        net,
        layers,
        x,
        torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), device="cpu"),
    )
    trial = Trial(labels.numpy().astype(np.int64))
    first = _count(forwards / 3 / len(layers) / len(sigmas), *_FIRST, len(x))
    for name in layers:
        for sigma in sigmas:
            trial.answers[name, sigma] = ask(name, sigma, first)
    best = trial.best()
    kept = [n for n in likely if n in layers] or [
        name for name in layers if not _worse(trial, name, len(layers))
    ]
    kept = list(dict.fromkeys([*kept, best[0]]))
    # Without noise too: where all accuracies are at chance, it shows best how labels are permuted.
    wanted = dict.fromkeys(
        s for name in kept for s in (trial.best(name), (name, best[1]), (name, sigmas[0]))
    )
    count = _count(forwards * 2 / 3 / (len(wanted) + len(sigmas)), _LEAST, _MOST, len(x))
    for name, sigma in wanted:
        trial.answers[name, sigma] = ask(name, sigma, count)
    trial.ask, trial.count = ask, count
    return trial


@dataclass(frozen=True)
class Ask:
    """A network that answers images, the first so many, under one setting."""

    net: nn.Module
    layers: Mapping[str, nn.Module]
    x: Tensor
    noise: Tensor

    def __call__(self, name: str, sigma: float, count: int) -> Answers:
        sides = (torch.split(each[:count], _BATCH) for each in (self.x, self.noise))
        pairs = zip(*sides, strict=True)
        with torch.no_grad():
            parts = [self.net(self.layers[name](a + sigma * b)).argmax(dim=1) for a, b in pairs]
        return torch.cat(parts).numpy().astype(np.int64)


def differ(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The p-value of McNemar's exact test that two settings are right equally often.

    differ(np.array([True, True]), np.array([False, True]))     # 1.0

    Over the images that both have seen.
    """
    both = min(len(first), len(second))
    only = int((first[:both] & ~second[:both]).sum()), int((second[:both] & ~first[:both]).sum())
    if sum(only) == 0:
        return 1.0
    return float(scipy.stats.binomtest(only[0], sum(only)).pvalue)


def interval(right: NDArray[np.bool_], confidence: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of an accuracy."""
    found = scipy.stats.binomtest(int(right.sum()), len(right)).proportion_ci(confidence, "exact")
    return float(found.low), float(found.high)


def above_chance(right: NDArray[np.bool_], chance: float, comparisons: int = 1) -> bool:
    """Whether an accuracy is above that of guessing, at LEVEL over all comparisons."""
    test = scipy.stats.binomtest(int(right.sum()), len(right), chance, alternative="greater")
    return bool(test.pvalue < LEVEL / comparisons)


def rivals(trial: Trial, normalization: str) -> list[str]:
    """The normalisations whose accuracy is not shown to be below that of one.

    Each at its own best sigma, on the images that both have seen.
    """
    others = [each for each in trial.normalizations() if each != normalization]
    own = trial.right(*trial.best(normalization))
    level = LEVEL / max(len(others), 1)
    return [o for o in others if not _below(own, trial.right(*trial.best(o)), level)]


def _below(own: NDArray[np.bool_], other: NDArray[np.bool_], level: float) -> bool:
    """Whether another setting is shown to be worse on the images that both have seen."""
    both = min(len(own), len(other))
    return bool(own[:both].mean() > other[:both].mean() and differ(own, other) < level)


def _worse(trial: Trial, name: str, count: int) -> bool:
    """Whether a normalisation is shown to be worse than the best, each at its own best sigma."""
    best, own = trial.best(), trial.best(name)
    return _below(trial.right(*best), trial.right(*own), LEVEL / count)


def _count(wanted: float, least: int, most: int, there: int) -> int:
    return min(max(int(wanted), least), most, there)
