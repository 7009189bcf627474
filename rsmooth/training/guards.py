"""Runs that went wrong are stopped, with the likely cause and a remedy.

Risky settings are remarked on at the start.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from rsmooth.models.state import dtype_of, frozen
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.plumbing.tensors import are_probabilities
from rsmooth.smoothed import check_logits
from rsmooth.training.recipe import Recipe

# The share of predictions that makes a class the only one.
ONE_CLASS = 0.99
# Times the loss of guessing; what a network learns from is far below.
ABSURD = 1000.0
# The share of a time budget that a look at the images may take without a word.
MUCH = 1 / 3
# Images per optimiser step.
FEW_IMAGES = 32
# Predictions that are judged; fewer may be of one class by chance.
FEWEST = 20


class TrainingCollapsed(RuntimeError):  # noqa: N818 (says what happened)
    """The loss is no longer finite, or the classifier answers one class whatever the image.

        try:
            trainer.fit(g, data.train)
        except TrainingCollapsed as error:
            print(error)

    The message gives the likely cause, and what to change about this very trainer.
    """


def check_loss(total: float, recipe: Recipe, epoch: int) -> None:
    """TrainingCollapsed unless the loss, summed over the epoch so far, is finite."""
    if not math.isfinite(total):
        raise TrainingCollapsed(
            f"expected a finite loss, got a sum of {total} in epoch {epoch}; the steps have "
            f"become too large: {_remedy(recipe)}"
        )


def remark_on_loss(mean: float, classes: int, epoch: int) -> None:
    """Warn of a finite loss that no guess would have: the steps are far too large."""
    if mean > ABSURD * math.log(classes):
        warnings.warn(
            f"the mean loss of epoch {epoch} is {mean:.3g}, where guessing among {classes} classes "
            f"has {math.log(classes):.3g}; the steps are too large: lower lr",
            stacklevel=2,
        )


def remark_on_look(seconds: float, recipe: Recipe, epoch: int) -> None:
    """Warn of a choice of images that took much of a time budget, in which no step was made."""
    budget = recipe.budget_seconds
    if budget is not None and seconds > MUCH * budget:
        warnings.warn(
            f"choosing the images of epoch {epoch} took {seconds:.0f} of the {budget:g} seconds of "
            "the budget, in which the learning rate went on; look at fewer copies, or more rarely",
            stacklevel=2,
        )


def check_weights(base: nn.Module, recipe: Recipe, epoch: int) -> None:
    """TrainingCollapsed unless all weights are finite.

    So no checkpoint is overwritten with broken ones.
    """
    weights = dict(base.named_parameters())
    if not weights:
        return
    # One tensor, so that the device is waited for once.
    finite = torch.stack([weight.detach().isfinite().all() for weight in weights.values()]).tolist()
    broken = [name for name, fine in zip(weights, finite, strict=True) if not fine]
    if broken:
        raise TrainingCollapsed(
            f"expected finite weights, got NaN or infinity in {', '.join(broken[:5])} in epoch "
            f"{epoch}; the steps have become too large: {_remedy(recipe)}"
        )


def check_collapse(
    predicted: Sequence[float], labels: Sequence[float], recipe: Recipe, epoch: int, where: str
) -> None:
    """TrainingCollapsed if almost all predictions name one class while the labels do not.

    predicted, labels: counts of each class (K,).

    Runs of the published SmoothAdv grid with several noise copies ended so. Such a constant
    classifier certifies its class at every radius. So its average certified radius can deceive.
    """
    total, truth = sum(predicted), sum(labels)
    if total < FEWEST or max(labels) >= 0.9 * truth:
        return
    if max(predicted) >= ONE_CLASS * total:
        raise TrainingCollapsed(
            "expected predictions of several classes, got class "
            f"{list(predicted).index(max(predicted))} for {max(predicted) / total:.1%} of the "
            f"{where} images in epoch {epoch}; perturbations or steps are too large for what the "
            f"classifier has learnt: {_remedy(recipe)}"
        )


def _remedy(recipe: Recipe) -> str:
    """What to change about this very recipe."""
    steps = [f"a lower lr (it is {recipe.lr:g})"]
    if recipe.clip_grad_norm is None:
        steps.append("gradient clipping (clip_grad_norm=1)")
    if recipe.epsilon_at(float(recipe.epochs)) > 0:
        steps.append(f"a longer warm-up of epsilon (warmup_epochs is {recipe.warmup_epochs})")
    if recipe.num_noise > 1:
        steps.append(f"a smaller num_noise (it is {recipe.num_noise})")
    return f"start anew in another run folder with {', or '.join(steps)}"


def remark_on_unused(
    recipe: Recipe, *, unlabelled: bool, files: bool = False, extras: Collection[str] = ()
) -> None:
    """Warn of options that were changed, but have no use beside the others.

    unlabelled: whether there are pseudo-labelled images. files: whether the images are of folders.
    extras: the names of the columns that came with the images.

    In an ablation all their values would come out the same. It is no error: presets hold options of
    their schedule, and a run that was begun with such an option goes on.
    """
    stepwise, milestones = recipe.schedule == "step", recipe.schedule == "milestones"
    by_schedule = f"schedule={recipe.schedule!r}"
    own_growth = recipe.warms_up and type(recipe).losses is not Recipe.losses
    warms_up = recipe.attack is not None or own_growth
    general = (
        ("lr_step_epochs", stepwise, by_schedule),
        ("lr_gamma", stepwise or milestones, by_schedule),
        ("budget_clock", recipe.budget_seconds is not None, "budget_seconds=None"),
        ("unlabelled_share", unlabelled, "no pseudo-labelled images"),
        # Not warmup_epochs, which presets share among arms with an attack and without.
        ("warmup_from", warms_up, "attack=None"),
        ("warmup_per", warms_up, "attack=None"),
        # True is what such images get anyway.
        ("augment", not files or recipe.augment, "image folders, which crop by themselves"),
    )
    unused = {name: beside for name, used, beside in general if not used}
    unused |= recipe.without_effect(extras)
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if each.name in unused and value != each.default:
            beside = unused[each.name]
            warnings.warn(f"{each.name}={value!r} has no effect with {beside}", stacklevel=3)


@torch.no_grad()
def remark_on_outputs(base: nn.Module, x: Tensor, classes: int) -> None:
    """Warn of a base classifier that answers images x (B, C, H, W) with probabilities.

    Log-probabilities are no matter: of them a softmax makes the same probabilities.
    """
    try:
        with frozen(base), torch.random.fork_rng([x.device] if x.is_cuda else []):
            outputs = check_logits(base(x.to(dtype_of(base, x.dtype))), len(x), classes)
    except Exception:  # the first step says what is wrong
        return
    if are_probabilities(outputs):
        least = math.log(math.e + classes - 1) - 1
        warnings.warn(
            "expected logits from the base classifier, got probabilities (softmax), of which the "
            f"loss takes a second softmax: it stays above {least:.2f}, and its gradients are "
            "small; return what the last layer gives. Certificates are not affected",
            stacklevel=2,
        )


def remark(recipe: Recipe, noise: NoiseDistribution) -> None:
    """Warn of settings that came out badly in the published grid of CIFAR-10 runs."""
    each = recipe.batch_size // recipe.num_noise
    if recipe.num_noise >= 16 and each < FEW_IMAGES:
        warnings.warn(
            f"num_noise={recipe.num_noise} makes as many optimiser steps per batch, each on only "
            f"{each} images; the published runs with 16 images per step were clearly worse than "
            "with 32 and more. Lower num_noise or raise batch_size.",
            stacklevel=3,
        )
    for text in [] if recipe.attack is None else recipe.attack.remarks(noise):
        warnings.warn(text, stacklevel=3)
