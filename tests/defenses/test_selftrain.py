"""Pre-training, self-training and presets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.data import ImageData
from rsmooth.defenses import PseudoLabels, Trainer, init_from, preset, preset_names, pseudo_label
from rsmooth.noise.distributions import Gaussian
from rsmooth.training.draws import UNLABELLED, Draws
from rsmooth.training.plan import plan_epoch
from rsmooth.training.recipe import expected_loss
from rsmooth.training.sources import as_source
from tests.training.helpers import CLASSES, classifier, images, trained, weights


@pytest.fixture(scope="module")
def teacher():  # type: ignore[no-untyped-def]
    g = classifier()
    Trainer(epochs=15, batch_size=12, lr=0.1).fit(g, images(60), progress=False)
    return g


def test_init_from_keeps_all_but_the_head(tmp_path: Path, teacher: Any) -> None:
    teacher.save(tmp_path / "model.pt")
    g = init_from(tmp_path / "model.pt", sigma=0.5, num_classes=5)
    old, new = teacher.base.state_dict(), g.base.state_dict()
    changed = [name for name in old if not torch.equal(old[name], new[name])]
    assert len(changed) == 2  # weight and bias of the last layer
    assert g.sigma == 0.5
    assert new[changed[0]].shape[0] == 5
    g.save(tmp_path / "tuned.pt")
    same = init_from(tmp_path / "model.pt", sigma=0.25, num_classes=CLASSES)
    assert not torch.equal(
        same.base.state_dict()[changed[0]], old[changed[0]]
    )  # fresh even for as many classes


def test_pseudo_labels_are_the_teachers_mean_softmax(teacher: Any) -> None:
    data = images(30, seed=4)
    hard = pseudo_label(teacher, data)
    noise = Draws(0, UNLABELLED).noise(
        data.index, 0, teacher.num_noise, data.images.shape[1:], teacher.noise
    )
    with torch.no_grad():
        expected = teacher.log_probs(data.images.float()[:, None] / 255 + noise).exp().mean(1)
    assert hard.probabilities is None
    assert torch.equal(hard.data.labels, expected.argmax(1))
    assert (hard.data.labels == data.labels).float().mean() > 0.8
    soft = pseudo_label(teacher, data.images, soft=True, batch_size=7)
    assert soft.probabilities is not None
    assert soft.probabilities.shape == (30, CLASSES)
    again = pseudo_label(teacher, data, soft=True, batch_size=7)
    assert again.probabilities is not None
    assert torch.allclose(again.probabilities, expected, atol=1e-5)


def test_confidence_leaves_out_doubtful_images(teacher: Any) -> None:
    data = images(30, seed=4)
    everything = pseudo_label(teacher, data, soft=True).probabilities
    assert everything is not None
    bar = float(everything.amax(1).median())
    kept = pseudo_label(teacher, data, confidence=bar).data
    assert torch.equal(kept.index, data.index[everything.amax(1) >= bar])
    with pytest.raises(ValueError, match="expected images that the teacher is sure of"):
        pseudo_label(teacher, data, confidence=1.1)


def test_labelled_and_pseudo_labelled_batches_take_turns() -> None:
    labelled = as_source(images(20), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    pseudo = PseudoLabels(images(7)).source(Trainer(), torch.device("cpu"))
    steps = plan_epoch([labelled, pseudo], 0, 8, 2)
    assert [step.source for step in steps] == [0, 0, 1, 1] * 3
    assert [len(step.positions) for step in steps] == [4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 4, 4]
    used = torch.cat([step.positions for step in steps if step.source == 1])
    assert torch.bincount(used, minlength=7).min() >= 24 // 7
    others = torch.cat(
        [step.positions for step in plan_epoch([labelled, pseudo], 1, 8, 2) if step.source == 1]
    )
    assert not torch.equal(used, others)


def test_the_weight_scales_the_pseudo_labelled_steps_only() -> None:
    """Without momentum and decay, on data of one batch: two plain SGD steps, the second of w times
    the gradient.
    """
    data, extra = images(6), images(6, seed=3)
    options = {"epochs": 1, "batch_size": 6, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    g, reference = classifier("mlp"), classifier("mlp")
    Trainer(**options).fit(g, data, unlabelled=PseudoLabels(extra, weight=0.3), progress=False)
    for part, stream, weight in ((data, 0, 1.0), (extra, UNLABELLED, 0.3)):
        order = Draws(0, stream).order(6, 0)
        x, y, ids = part.images[order].float() / 255, part.labels[order], part.index[order]
        noise = Draws(0, stream).noise(ids, 0, 1, x.shape[1:], Gaussian(0.25))
        loss = weight * cross_entropy(reference.base(x + noise[:, 0]), y)
        gradients = torch.autograd.grad(loss, list(reference.base.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(reference.base.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    assert torch.allclose(weights(g), weights(reference), atol=1e-6)


@pytest.mark.parametrize("kind", ["naive", "smoothadv"])
def test_soft_labels_are_the_expected_loss(kind: str) -> None:
    logits = torch.randn(4, 1, CLASSES, generator=torch.Generator().manual_seed(0))
    soft = torch.rand(4, CLASSES, generator=torch.Generator().manual_seed(1)).softmax(1)
    loss = expected_loss(lambda y: Trainer(train_loss=kind).loss(logits.log_softmax(2), y), soft)
    assert torch.allclose(loss, cross_entropy(logits[:, 0], soft, reduction="none"), atol=1e-6)
    one_hot = torch.nn.functional.one_hot(torch.tensor([0, 1, 2, 0]), CLASSES).float()
    assert torch.allclose(
        expected_loss(lambda y: Trainer().loss(logits.log_softmax(2), y), one_hot),
        expected_loss(
            lambda y: Trainer().loss(logits.log_softmax(2), y), torch.tensor([0, 1, 2, 0])
        ),
    )


def test_soft_and_hard_labels_and_the_weight_matter_and_meet_attacks(teacher: Any) -> None:
    extra = images(30, seed=4)
    trainer = Trainer(
        attack=SmoothAdvPGD(epsilon=0.3, steps=1), num_noise=2, epochs=1, batch_size=12, lr=0.05
    )
    results = [trained(trainer)]
    for unlabelled in (
        pseudo_label(teacher, extra),
        pseudo_label(teacher, extra, soft=True),
        pseudo_label(teacher, extra, weight=0.5),
    ):
        g = classifier()
        trainer.fit(g, images(), unlabelled=unlabelled, progress=False)
        results.append(weights(g))
    for i, one in enumerate(results):
        assert not any(torch.allclose(one, other) for other in results[i + 1 :])


def test_unlabelled_images_are_part_of_the_configuration(tmp_path: Path) -> None:
    trainer = Trainer(epochs=1, batch_size=12)
    extra: ImageData = images(12, seed=4)
    trainer.fit(
        classifier(), images(), unlabelled=PseudoLabels(extra), run_dir=tmp_path, progress=False
    )
    with pytest.raises(ValueError, match=r"unlabelled was .* and is"):
        trainer.fit(
            classifier(), images(), unlabelled=PseudoLabels(extra, weight=2.0), run_dir=tmp_path
        )
    with pytest.raises(ValueError, match="expected a weight > 0"):
        PseudoLabels(extra, weight=0.0)


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_options_of_the_trainer(name: str) -> None:
    trainer = Trainer(**preset(name))
    assert all(getattr(trainer, option) == value for option, value in preset(name).items())


def test_the_trainers_defaults_are_the_paper_preset() -> None:
    paper, default = Trainer(**preset("paper")), Trainer()
    differing = {name for name in preset("paper") if getattr(paper, name) != getattr(default, name)}
    assert differing == {"augment", "precision"}


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(
        ValueError, match="expected a preset among digits, fast, finetune, paper, got 'papr'"
    ):
        preset("papr")
