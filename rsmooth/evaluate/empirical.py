"""A smoothed classifier under attack: empirical accuracy, and the smallest epsilon that succeeds.

These figures carry no guarantee: the votes are few, and a stronger attack may exist. Guarantees
come from rsmooth.certify.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from rsmooth.attacks.base import Attack, check_untargeted
from rsmooth.attacks.checks import warn_without_gradient
from rsmooth.attacks.view import quick_view
from rsmooth.certify.cohen import predict
from rsmooth.certify.votes.images import image_ids
from rsmooth.models.precision import Precision
from rsmooth.models.state import frozen
from rsmooth.plumbing.numbers import check_integer
from rsmooth.plumbing.tensors import (
    Labels,
    as_labels,
    channels_taken,
    check_images,
    check_labels,
)
from rsmooth.smoothed import SmoothedClassifier, check_smoothed


class Answers(NamedTuple):
    """Answers of g (B,) to attacked images; of each attack, the norm and whether it was led.

        measured_answers(g, x, y, attack).length.max()

    length, without_gradient: (B,), as in ``Attacked``; 0 and False without an attack.
    """

    answers: Tensor
    length: Tensor
    without_gradient: Tensor


def answers_under_attack(
    g: SmoothedClassifier,
    x: Tensor,
    y: Labels,
    attack: Attack | None,
    *,
    num_noise: int = 1,
    n: int = 100,
    alpha: float | None = None,
    seed: int = 0,
    index: Labels | None = None,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    precision: Precision = "auto",
) -> Tensor:
    """The answers of g (B,) to images (B, C, H, W) of labels y (B,) after ``attack``.

        answers = answers_under_attack(g, x, y, SmoothAdvPGD(epsilon=0.5, steps=20), num_noise=64)

    Each image is attacked once, with num_noise samples; attack None leaves it as it is.
    alpha None: g answers by the majority of n fresh noise samples, without abstention (the lowest
    label in a tie). Otherwise g answers by PREDICT (Cohen et al. 2019, section 3.2.1), with ABSTAIN
    = -1 for votes that do not decide; its noise depends on ``seed`` and on the ``index`` of the
    image, as in ``predict``, which also chooses the size of its passes. batch_size: the most noisy
    copies per pass through the base classifier otherwise, or num_noise, where that is more.
    A classifier without noise answers with its largest logit, and never abstains.
    precision: of the search and of the votes, so that the attacked function is the one that is
    reported. "float32" asks the model as it is; "auto" and "bfloat16" as in the call of an attack
    and in ``predict``; without noise "auto" computes in float32.
    ValueError for an empty batch, a targeted attack, an attack that leaves epsilon in its norm, or
    NaN logits. A warning where the gradients vanish.
    """
    found = measured_answers(
        g,
        x,
        y,
        attack,
        num_noise=num_noise,
        n=n,
        alpha=alpha,
        seed=seed,
        index=index,
        batch_size=batch_size,
        generator=generator,
        precision=precision,
    )
    warn_without_gradient(int(found.without_gradient.sum()), len(x), stacklevel=3)
    return found.answers


def measured_answers(
    g: SmoothedClassifier,
    x: Tensor,
    y: Labels,
    attack: Attack | None,
    *,
    num_noise: int = 1,
    n: int = 100,
    alpha: float | None = None,
    seed: int = 0,
    index: Labels | None = None,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    precision: Precision = "auto",
    view: SmoothedClassifier | None = None,
) -> Answers:
    """``answers_under_attack``, with what was measured on the attack, and without a warning.

    view: ``quick_view`` of g in this precision, where it was made before.
    """
    y = _check(g, x, y, attack, num_noise, n, batch_size)
    numbers = None if index is None else image_ids(x, index)
    view = quick_view(g, x, precision) if view is None else view
    # In floating point, since attacked images leave the 8-bit grid.
    judged = partial(predict, g, n=n, seed=seed, arithmetic="float", precision=precision)
    answers, lengths, without = [], [], []
    for part in _parts(len(x), batch_size // num_noise):
        x_adv = x[part]
        if attack is not None:
            found = attack.measured(view, x_adv, y[part], num_noise=num_noise, generator=generator)
            x_adv = found.x_adv
            lengths.append(found.length)
            without.append(found.without_gradient)
        if alpha is None or g.noise.scale_value == 0:
            answers.append(_vote(view, x_adv, n, batch_size, generator))
        else:
            ids = None if numbers is None else numbers[part]
            answers.append(judged(x_adv, alpha=alpha, index=ids).label.to(y.device))
    none = torch.zeros(len(x), device=x.device)
    return Answers(
        torch.cat(answers),
        torch.cat(lengths) if lengths else none.double(),
        torch.cat(without) if without else none.bool(),
    )


def empirical_accuracy(
    g: SmoothedClassifier,
    x: Tensor,
    y: Labels,
    attack: Attack,
    *,
    num_noise: int = 1,
    n: int = 100,
    alpha: float | None = None,
    seed: int = 0,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    precision: Precision = "auto",
) -> float:
    """The share of images (B, C, H, W) that g still classifies as y (B,) after ``attack``.

        empirical_accuracy(g, x, y, SmoothAdvPGD(epsilon=0.5, steps=20), num_noise=64)

    Votes, arguments and errors as in ``answers_under_attack``; an abstention is wrong. The
    experiment of Salman et al. 2019 (arXiv:1906.04584), section 4.3.
    """
    answers = answers_under_attack(
        g,
        x,
        y,
        attack,
        num_noise=num_noise,
        n=n,
        alpha=alpha,
        seed=seed,
        batch_size=batch_size,
        generator=generator,
        precision=precision,
    )
    return int((answers == as_labels(y).to(answers.device)).sum()) / len(x)


def attack_radius(
    g: SmoothedClassifier,
    x: Tensor,
    y: Labels,
    attack: Attack,
    epsilons: Sequence[float],
    *,
    num_noise: int = 1,
    n: int = 100,
    batch_size: int = 256,
    generator: torch.Generator | None = None,
    precision: Precision = "auto",
) -> Tensor:
    """The smallest of ``epsilons`` at which the attack changes the answer of g, per image.

        attack_radius(g, x, y, SmoothAdvPGD(epsilon=1.0, steps=20), [0.25, 0.5, 1.0], num_noise=64)

    Images (B, C, H, W) -> radii (B,) in float64: 0.0 for an image that g misclassifies without an
    attack, infinity for one that no attack changes. Each of ``epsilons`` replaces the epsilon of
    the attack. Votes and arguments are those of ``empirical_accuracy``. ValueError for none.
    """
    if not isinstance(epsilons, Iterable) or not len(epsilons):
        raise ValueError(
            f"expected epsilons, at least one, got {epsilons!r}; give a list, e.g. [0.25, 0.5, 1.0]"
        )
    y = _check(g, x, y, attack, num_noise, n, batch_size)
    # Refused here where an epsilon is none, also if no image is left to attack.
    attacks = sorted((replace(attack, epsilon=e) for e in epsilons), key=lambda one: one.epsilon)
    view = quick_view(g, x, precision)
    radius = torch.full((len(x),), math.inf, dtype=torch.float64, device=x.device)
    for part in _parts(len(x), batch_size // num_noise):
        standing = part[(_vote(view, x[part], n, batch_size, generator) == y[part]).cpu()]
        radius[part] = 0.0
        radius[standing] = math.inf
        for each in attacks:
            if len(standing) == 0:
                break
            x_adv = each(view, x[standing], y[standing], num_noise=num_noise, generator=generator)
            fallen = (_vote(view, x_adv, n, batch_size, generator) != y[standing]).cpu()
            radius[standing[fallen]] = each.epsilon
            standing = standing[~fallen]
    return radius


def _vote(
    g: SmoothedClassifier, x: Tensor, n: int, batch_size: int, generator: torch.Generator | None
) -> Tensor:
    """The class that most of n noise samples vote for: (B, C, H, W) -> (B,).

    ValueError for NaN logits.
    """
    if x.dtype in (torch.float16, torch.bfloat16):
        x = x.float()  # as the search and ``predict`` do; small noise would be rounded away
    n = n if g.noise.scale_value else 1  # without noise all votes are one
    counts = torch.zeros(len(x), g.num_classes, dtype=torch.int64, device=x.device)
    classes = torch.arange(g.num_classes, device=x.device)
    with torch.no_grad(), frozen(g):
        for part in _parts(n, batch_size // max(len(x), 1)):
            log_probs = g.log_probs(x.unsqueeze(1) + g.sample_noise(x, len(part), generator))
            if log_probs.isnan().any():
                raise ValueError(
                    "expected finite logits from the base classifier, got NaN; train it again, "
                    "with a smaller learning rate"
                )
            counts += (log_probs.argmax(dim=2, keepdim=True) == classes).sum(dim=1)
    return counts.argmax(dim=1)


def _parts(total: int, size: int) -> Iterator[Tensor]:
    """The positions 0..total-1 in consecutive parts of at most ``size`` (at least 1)."""
    positions = torch.arange(total, device="cpu")
    for start in range(0, total, max(size, 1)):
        yield positions[start : start + max(size, 1)]


def _check(
    g: SmoothedClassifier,
    x: Tensor,
    y: Labels,
    attack: Attack | None,
    num_noise: int,
    n: int,
    batch_size: int,
) -> Tensor:
    """The labels as integers on the device of the images; the errors of all arguments."""
    check_smoothed(g)
    check_images(x, channels=channels_taken(g.base))
    labels = check_labels(y, len(x), g.num_classes).to(x.device)
    if len(x) == 0:
        raise ValueError("expected at least one image, got an empty batch; add images")
    if attack is not None:
        check_untargeted(attack)
    if check_integer(num_noise, "num_noise", 16) < 1:
        raise ValueError(f"expected num_noise >= 1, got {num_noise}")
    if check_integer(n, "n", 100) < 1 or check_integer(batch_size, "batch_size", 256) < 1:
        raise ValueError(
            f"expected n >= 1 and batch_size >= 1, got n={n} and batch_size={batch_size}"
        )
    return labels
