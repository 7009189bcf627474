"""What is suspicious in the answers of a network: their form, and how they follow the labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from rsmooth.doctor.findings import Finding, listed
from rsmooth.doctor.trial import LEVEL, above_chance
from rsmooth.plumbing.tensors import are_probabilities

Answers = NDArray[np.int64]
_CLOSE = 1e-4
_NEARLY = 0.4  # of the images have to fit a permutation, before it is called one


def form(logits: Tensor) -> Finding | None:
    """Whether outputs (N, K) are probabilities or their logarithms, where logits should be."""
    if are_probabilities(logits):
        return Finding(
            "wrong",
            "outputs",
            "probabilities (softmax), not logits: votes and certificates are the same, but attacks "
            "and training take a second softmax of them; return what the last layer gives",
        )
    if bool((logits <= 0).all()) and bool(logits.double().logsumexp(dim=1).abs().max() < _CLOSE):
        return Finding(
            "ok", "outputs", "log-probabilities (log-softmax), which serve as logits everywhere"
        )
    return None


def permutation(answers: Answers, labels: Answers, num_classes: int) -> list[int] | None:
    """The answer that stands for each label, where that is no identity; else None.

        permutation(np.array([1, 0, 1, 0]), np.array([0, 1, 0, 1]), 2)      # [1, 0], given enough

    The matching that fits most images is found on one half of the images and tested on the other.
    None too where nothing is shown, and where the answers are nearly those of no permutation. The
    guesses of an untrained network also follow the images: whether they would do so as much is for
    ``shuffles`` to say.
    """
    if len(answers) < 2 * num_classes or max(answers.max(), labels.max()) >= num_classes:
        return None
    halves = [np.arange(len(answers)) % 2 == turn for turn in (0, 1)]
    found = matching(answers[halves[0]], labels[halves[0]], num_classes)
    whole = matching(answers, labels, num_classes)
    right = answers == labels
    matched = np.asarray(found)[labels[halves[1]]] == answers[halves[1]]
    plain = right[halves[1]]
    better = matched.mean() >= _NEARLY and matched.sum() > plain.sum()
    better = better and above_chance(matched, 1 / num_classes)
    wins, losses = int((matched & ~plain).sum()), int((plain & ~matched).sum())
    if not better or scipy.stats.binomtest(wins, max(wins + losses, 1)).pvalue >= LEVEL:
        return None
    return whole


def described(permutation: Sequence[int]) -> str:
    """A permutation in words: a shift, a reversal, or which labels have which answers."""
    count = len(permutation)
    shift = (permutation[0]) % count
    if list(permutation) == [(label + shift) % count for label in range(count)]:
        return f"each answer is the label + {shift} (modulo {count})"
    if list(permutation) == list(range(count))[::-1]:
        return f"the classes are in reverse order ({count - 1} - label)"
    moved = [f"{label} -> {answer}" for label, answer in enumerate(permutation) if answer != label]
    return f"label -> answer: {listed(moved, 20)}"


def constant(answers: Answers, labels: Answers) -> Finding | None:
    """Whether a network gives one answer to everything, though there are several labels."""
    if len(np.unique(labels)) < 2 or len(np.unique(answers)) > 1:
        return None
    return Finding(
        "wrong",
        "answers",
        f"class {int(answers[0])} for each of {len(answers):,} images: a constant classifier",
    )


def logits_of(net: torch.nn.Module, normalize: torch.nn.Module, x: Tensor) -> Tensor:
    """The outputs of a network for images (N, C, H, W) in [0, 1]."""
    with torch.no_grad():
        return torch.cat([net(normalize(part)) for part in torch.split(x, 32)])


def matching(answers: Answers, labels: Answers, num_classes: int) -> list[int]:
    """The permutation of classes that fits most images; labels that are not there stay.

    matching(np.array([1, 0]), np.array([0, 1]), 2)      # [1, 0]
    """
    table = np.zeros((num_classes, num_classes))
    np.add.at(table, (labels, answers), 1)
    table += 1e-3 * np.eye(num_classes)
    rows, columns = scipy.optimize.linear_sum_assignment(table, maximize=True)
    return [int(column) for _, column in sorted(zip(rows, columns, strict=True))]
