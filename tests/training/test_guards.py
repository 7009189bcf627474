"""Runs that go wrong are stopped with cause and remedy."""

from __future__ import annotations

import dataclasses
import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rsmooth.attacks import DDN, SmoothAdvPGD
from rsmooth.data import load_dataset
from rsmooth.defenses import (
    CatRS,
    Consistency,
    IntervalTraining,
    SmoothMix,
    Stability,
    Trainer,
    TrainingCollapsed,
)
from rsmooth.noise.distributions import Gaussian
from rsmooth.objectives import naive
from rsmooth.registry import MODELS, TRAINERS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import Batch, metrics
from rsmooth.training.guards import (
    check_collapse,
    remark,
    remark_on_loss,
    remark_on_outputs,
    remark_on_unused,
)
from tests.training.helpers import build, classifier, images, suited, trained, weights

CLIP = r"gradient clipping \(clip_grad_norm=1\)"


def test_a_loss_that_is_not_finite_stops_the_run_and_spares_the_checkpoint(tmp_path: Path) -> None:
    g = classifier("mlp")
    said = f"expected a finite loss, got a sum of (inf|nan) .*a lower lr .it is 1e.30., or {CLIP}$"
    with pytest.raises(TrainingCollapsed, match=said):
        Trainer(lr=1e30, batch_size=12, epochs=5).fit(g, images(), run_dir=tmp_path, progress=False)
    saved = tmp_path / "checkpoint.pt"
    if saved.exists():
        assert all(
            value.isfinite().all()
            for value in torch.load(saved, weights_only=True)["model"].values()
        )


def test_a_step_that_breaks_the_weights_is_never_saved(tmp_path: Path) -> None:
    g = classifier("mlp")

    def spoil(epoch: int, step: int) -> None:
        with torch.no_grad():
            next(g.parameters())[0] = math.nan

    with pytest.raises(
        TrainingCollapsed, match=r"expected finite weights, got NaN or infinity in .* in epoch 0;"
    ):
        Trainer(batch_size=24, epochs=1).fit(
            g, images(), validation=images(), run_dir=tmp_path, progress=False, callback=spoil
        )
    assert not list(tmp_path.iterdir())  # neither checkpoint.pt nor best.pt


def test_a_classifier_that_answers_one_class_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "JUDGED_AFTER", 1)
    g = classifier("mlp")
    with torch.no_grad():
        for parameter in g.parameters():
            parameter.zero_()
        list(g.parameters())[-1][1] = 50.0
    trainer = Trainer(lr=1e-6, batch_size=12, epochs=5, warmup_epochs=2)
    epochs: list[int] = []
    with pytest.raises(
        TrainingCollapsed,
        match=f"got class 1 for 100.0% of the training images in epoch 2;.*{CLIP}",
    ):
        trainer.fit(g, images(), progress=False, callback=lambda epoch, step: epochs.append(epoch))
    assert max(epochs) == 2  # past warm-up


def test_validation_is_judged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "JUDGED_AFTER", 1)
    g, white = classifier("mlp"), images()
    white.images.fill_(255)
    with pytest.raises(TrainingCollapsed, match="of the validation images"):
        Trainer(lr=0.05, batch_size=12, epochs=12, warmup_epochs=0).fit(
            g, images(), validation=white, progress=False
        )


def test_judgement_needs_labels_of_several_classes_and_some_steps() -> None:
    trainer = Trainer(attack=DDN(epsilon=1.0, steps=2), num_noise=8, clip_grad_norm=1.0)
    check_collapse([100, 0], [95, 5], trainer, 3, "training")
    check_collapse([98, 2], [50, 50], trainer, 3, "training")
    check_collapse([19, 0], [9, 10], trainer, 3, "validation")
    said = (
        r"too large .* anew in another run folder with a lower lr \(it is 0.1\), or a longer "
        r"warm-up of epsilon "
        r"\(warmup_epochs is 10\), or a smaller num_noise \(it is 8\)$"
    )
    with pytest.raises(TrainingCollapsed, match=said):
        check_collapse([99, 1], [50, 50], trainer, 3, "training")
    g = classifier()
    # A run that has hardly begun is not judged.
    Trainer(lr=1e-9, batch_size=24, epochs=1).fit(g, images(), progress=False)
    assert weights(g).isfinite().all()


@pytest.mark.parametrize(
    ("trainer", "sigma", "message"),
    [
        (
            Trainer(num_noise=16),
            0.25,
            "num_noise=16 makes as many optimiser steps per batch, each on only 16 images",
        ),
        (Trainer(attack=DDN(epsilon=1.0, steps=2)), 0.5, "DDN in training at sigma=0.5"),
    ],
)
def test_risky_settings_are_remarked_on(trainer: Trainer, sigma: float, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        remark(trainer, Gaussian(sigma))


@pytest.mark.parametrize(
    ("trainer", "sigma"),
    [
        (Trainer(num_noise=8, attack=SmoothAdvPGD(epsilon=1.0, steps=2)), 1.0),
        (Trainer(attack=DDN(epsilon=1.0, steps=2)), 0.25),
    ],
)
def test_usual_settings_are_not(trainer: Trainer, sigma: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remark(trainer, Gaussian(sigma))


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        (Trainer(schedule="cosine", lr_gamma=0.5), "lr_gamma=0.5 has no effect with schedule='cos"),
        (
            Trainer(schedule="milestones", lr_milestones=(3,), lr_step_epochs=2),
            "lr_step_epochs=2 has no effect with schedule='milestones'",
        ),
        (Trainer(budget_clock="wall"), "budget_clock='wall' has no effect with budget_seconds=Non"),
        (Trainer(unlabelled_share=0.5), "unlabelled_share=0.5 has no effect with no pseudo-label"),
    ],
)
def test_an_option_without_use_is_remarked_on_before_a_training(
    trainer: Trainer, message: str
) -> None:
    short = dataclasses.replace(trainer, epochs=1, batch_size=24)
    with pytest.warns(UserWarning, match=re.escape(message)):
        short.fit(classifier("mlp"), images(), progress=False)


# A method, options of it, and one more that has no effect beside them.
UNUSED: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("gaussian", {}, {"warmup_from": 1}, "warmup_from=1 has no effect with attack=None"),
    ("ft-cadis", {}, {"warmup_per": "step"}, "warmup_per='step' has no effect with attack=None"),
    *(
        (name, {}, {"train_loss": "smoothadv"}, "train_loss='smoothadv' has no effect with one cop")
        for name in ("gaussian", "noise-then-perturb", "perturb-beside-noise", "smoothadv")
    ),
    *(
        (name, {"num_noise": 3}, {"train_loss": "smoothadv"}, "has no effect with one copy per ima")
        for name in ("stability", "rst-stab")
    ),
    ("consistency", {"form": "kl"}, {"entropy_weight": 5.0}, "=5.0 has no effect with form='kl'"),
    ("cat-rs", {}, {"teacher": "x"}, "teacher='x' has no effect with extras of 'soft_labels'"),
    ("cat-rs", {}, {"votes": 7}, "votes=7 has no effect with extras of 'soft_labels'"),
    ("smoothmix", {"steps": 1}, {"mix_steps": 2}, "mix_steps=2 has no effect with steps=1"),
]


@pytest.mark.parametrize(("name", "options", "more", "message"), UNUSED)
def test_an_option_that_changes_no_weight_is_remarked_on(
    name: str, options: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    """And without it nothing is."""
    short = {"epochs": 1, "batch_size": 12, "warmup_epochs": 1, "lr": 0.01, **options}
    chosen = build(name, **short)
    usual = trained(chosen, suited(chosen, "mlp"))
    with pytest.warns(UserWarning, match=re.escape(message)) as said:
        assert torch.equal(trained(build(name, **short, **more), suited(chosen, "mlp")), usual)
    assert len(said) == 1


def test_image_folders_are_cropped_whatever_augment_says(tmp_path: Path) -> None:
    for kind in ("train/a", "train/b", "val/a", "val/b"):
        (tmp_path / kind).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / kind / "0.png")
    data = load_dataset("folder", root=tmp_path, image_size=16).train
    g = SmoothedClassifier(
        MODELS.create("mlp", num_classes=2, in_channels=3, image_size=16), 0.25, 2
    )
    with pytest.warns(UserWarning, match="augment=False has no effect with image folders, which"):
        Trainer(epochs=1, batch_size=2, augment=False, workers=0).fit(g, data, progress=False)
    for augment in (None, True):
        remark_on_unused(Trainer(augment=augment), unlabelled=False, files=True)


class Growing(Trainer):
    """A method of somebody else's, which may let grow what it likes."""

    def losses(self, batch: Batch) -> torch.Tensor:
        return self.grown(1.0, batch.progress) * super().losses(batch)


@pytest.mark.parametrize(
    ("trainer", "unlabelled"),
    [
        (Trainer(train_loss="smoothadv", num_noise=2), False),
        (
            Trainer(attack=SmoothAdvPGD(epsilon=0.5, steps=2), warmup_from=1, warmup_per="step"),
            False,
        ),
        (Trainer(warmup_epochs=3), False),  # which presets share among arms
        (Growing(warmup_from=1, warmup_per="step"), False),
        (SmoothMix(warmup_from=1, warmup_per="smoothed", mix_steps=4), False),
        (IntervalTraining(epsilon=0.1, warmup_from=3), False),
        (Consistency(entropy_weight=5.0), False),
        (CatRS(teacher="runs/gaussian", votes=7), False),
        (Stability(train_loss=naive), False),
        (Trainer(lr_step_epochs=3, lr_gamma=0.5), False),
        (Trainer(schedule="milestones", lr_milestones=(3,), lr_gamma=0.5), False),
        (Trainer(budget_seconds=9, budget_clock="wall"), False),
        (Trainer(unlabelled_share=0.5), True),
        (TRAINERS.get("rst-stab")(), False),  # the defaults of a method, whatever they are
    ],
)
def test_one_that_counts_is_not(trainer: Trainer, unlabelled: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        remark_on_unused(trainer, unlabelled=unlabelled)


class Answering(torch.nn.Module):
    """A base classifier that answers with a function of its logits."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.base, self.function = classifier("mlp").base, function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.base(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_probabilities_in_place_of_logits_are_remarked_on(dtype: torch.dtype) -> None:
    """The least loss is that of the certain answer 1, 0, 0: log(e + 2) - 1."""
    g = classifier().around(Answering(lambda logits: logits.softmax(dim=1)).to(dtype))
    trainer = Trainer(epochs=1, batch_size=24)
    with pytest.warns(UserWarning, match=r"got probabilities \(softmax\).* stays above 0\.55,"):
        trainer.fit(g, images(), progress=False)
    certain = torch.tensor([[[1.0, 0.0, 0.0]]]).log_softmax(2)
    assert float(naive(certain, torch.tensor([0]))) == pytest.approx(0.55, abs=0.005)


@pytest.mark.parametrize(
    "function",
    [
        lambda logits: logits,
        lambda logits: logits.log_softmax(dim=1),
        lambda logits: logits.sigmoid(),
        lambda logits: 0 * logits,  # as of a last layer that begins at 0
        lambda logits: logits.softmax(dim=1) - 1,
    ],
)
def test_other_answers_are_not(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    base = Answering(function).train()
    remark_on_outputs(base, torch.rand(4, 1, 8, 8), 3)
    assert all(part.training for part in base.modules())
    assert all(own.requires_grad for own in base.parameters())


def test_a_base_that_draws_by_itself_trains_as_before() -> None:
    """The look before the first step takes nothing from the random stream of the training."""
    drawn: list[torch.Tensor] = []

    def noisy(logits: torch.Tensor) -> torch.Tensor:
        drawn.append(torch.rand_like(logits.detach()))
        return logits + drawn[-1]

    torch.manual_seed(0)
    remark_on_outputs(Answering(noisy), torch.rand(4, 1, 8, 8), 3)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    torch.rand(4, 1, 8, 8)
    assert torch.equal(torch.get_rng_state(), state)
    assert len(drawn) == 1


def test_a_base_that_answers_with_something_else_is_left_to_the_first_step() -> None:
    base = Answering(lambda logits: logits[:, :2].softmax(dim=1))
    remark_on_outputs(base, torch.rand(4, 1, 8, 8), 3)


def test_a_denoiser_that_asks_no_classifier_is_not_remarked_on() -> None:
    """The mean squared error is that of the pixels."""
    for objective in ("mse", "classification"):
        trainer = build("denoiser", objective=objective, epochs=1, batch_size=24)
        g = suited(trainer)
        g.base.classifier = torch.nn.Sequential(g.base.classifier, torch.nn.Softmax(1))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            trainer.fit(g, images(), progress=False)
        assert len(said) == (objective == "classification")


def test_a_loss_that_no_guess_has_is_remarked_on(recwarn):
    remark_on_loss(1000.0, 10, 0)
    assert not recwarn
    with pytest.warns(match=r"mean loss of epoch 2 is 9\.15e\+14, .* has 2\.3; .*lower lr"):
        remark_on_loss(914615133385439.375, 10, 2)
