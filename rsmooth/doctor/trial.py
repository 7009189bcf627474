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
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from rsmooth.doctor.cost import multiply_adds

SIGMAS = (0.0, 0.12, 0.25, 0.5, 1.0)
BUDGET = 120e9  # multiply-adds of one trial: about a minute of one core
LEVEL = 0.01  # of all comparisons of one question together
_FIRST, _LEAST, _MOST = (10, 32), 48, 400
_BATCH = 32

Answers = NDArray[np.int64]


@dataclass
class Trial:
    """What a network answered.

    labels: (N,) of the images. answers: by normalisation and sigma, the classes (N',) of the first
    N' images.
    """

    labels: Answers
    answers: dict[tuple[str, float], Answers] = field(default_factory=dict)

    def right(self, normalization: str, sigma: float) -> NDArray[np.bool_]:
        """Whether each image was answered rightly, (N',)."""
        given = self.answers[normalization, sigma]
        return np.asarray(given == self.labels[: len(given)])

    def accuracy(self, normalization: str, sigma: float) -> float:
        """The share of right answers."""
        return float(self.right(normalization, sigma).mean())

    def best(self, normalization: str | None = None) -> tuple[str, float]:
        """The setting of the largest accuracy, among all or those of one normalisation."""
        among = [s for s in self.answers if normalization in (None, s[0])]
        return max(among, key=lambda s: (self.accuracy(*s), len(self.answers[s]), -s[1]))

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
    expected: tuple[str, float] | None = None,
    seed: int = 0,
    budget: float = BUDGET,
) -> Trial:
    """Try each normalisation at each sigma on a few images, and those that may be right on more.

        trial = run_trial(base[1], {"cifar10": Normalize(*constants)}, x, labels)

    net: without normalisation, in eval mode: images (N, C, H, W) -> logits (N, K).
    layers: the normalisations by name. x: images in [0, 1]. labels: (N,).
    expected: a setting that other evidence names, and that is tried on as many images as the best.
    """
    cost = multiply_adds(net, x[:1])
    count = _count(budget / 3 / len(layers) / len(sigmas) / cost, *_FIRST, len(x))
    trial = Trial(labels.numpy().astype(np.int64))
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    for name in layers:
        for sigma in sigmas:
            trial.answers[name, sigma] = _answers(net, layers[name], (x, noise), sigma, count)
    name, sigma = expected or trial.best()
    kept = [each for each in layers if each == name or not _worse(trial, each, len(layers))]
    count = _count(budget * 2 / 3 / (len(kept) + len(sigmas)) / cost, _LEAST, _MOST, len(x))
    for each in kept:
        trial.answers[each, sigma] = _answers(net, layers[each], (x, noise), sigma, count)
    if expected is None:
        name = max(kept, key=lambda each: trial.accuracy(each, sigma))
    for each_sigma in sigmas:
        setting = (name, each_sigma)
        if len(trial.answers[setting]) < count:
            trial.answers[setting] = _answers(net, layers[name], (x, noise), each_sigma, count)
    return trial


def differ(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """The p-value of McNemar's exact test that two settings are right equally often.

    differ(np.array([True, True]), np.array([False, True]))     # 1.0

    Over the images that both have seen.
    """
    both = min(len(first), len(second))
    only = int((first[:both] & ~second[:both]).sum()), int((second[:both] & ~first[:both]).sum())
    if sum(only) == 0:
        return 1.0
    return float(stats.binomtest(only[0], sum(only)).pvalue)


def interval(right: NDArray[np.bool_], confidence: float = 0.95) -> tuple[float, float]:
    """The exact (Clopper-Pearson) interval of an accuracy."""
    found = stats.binomtest(int(right.sum()), len(right)).proportion_ci(confidence, "exact")
    return float(found.low), float(found.high)


def above_chance(right: NDArray[np.bool_], chance: float, comparisons: int = 1) -> bool:
    """Whether an accuracy is above that of guessing, at LEVEL over all comparisons."""
    test = stats.binomtest(int(right.sum()), len(right), chance, alternative="greater")
    return bool(test.pvalue < LEVEL / comparisons)


def rivals(trial: Trial, normalization: str, sigma: float) -> list[str]:
    """The normalisations whose accuracy is not shown to be below that of one, at its sigma."""
    others = [each for each in trial.normalizations() if each != normalization]
    own = trial.right(normalization, sigma)
    kept = []
    for each in others:
        ahead = [trial.right(each, s) for s in trial.sigmas(each)]
        best = max(ahead, key=lambda right: float(right.mean()))
        same = trial.right(each, sigma)
        lower = own[: len(same)].mean() > same.mean() and differ(own, same) < LEVEL / len(others)
        if not lower and not _below(own, best, LEVEL / len(others)):
            kept.append(each)
    return kept


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


def _answers(
    net: nn.Module, normalize: nn.Module, images: tuple[Tensor, Tensor], sigma: float, count: int
) -> Answers:
    x, noise = images
    with torch.no_grad():
        parts = [
            net(normalize(a + sigma * b)).argmax(dim=1)
            for a, b in zip(x[:count].split(_BATCH), noise[:count].split(_BATCH), strict=True)
        ]
    return torch.cat(parts).numpy().astype(np.int64)
