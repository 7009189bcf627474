"""Setting up a run: forms of data, refusals, and what is left as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from rsmooth.attacks import PGD
from rsmooth.defenses import PseudoLabels, Trainer
from rsmooth.smoothed import SmoothedClassifier
from tests.training.helpers import classifier, images, trained, weights


def test_data_may_come_as_tensors_or_a_data_set() -> None:
    data = images()
    pair, trainer = (data.images, data.labels), Trainer(epochs=1, batch_size=10, lr=0.05)
    results = []
    for form in (pair, (data.images.float() / 255, data.labels), TensorDataset(*pair)):
        g = classifier()
        trainer.fit(g, form, progress=False)
        results.append(weights(g))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_the_callers_random_state_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    trained(Trainer(epochs=1, batch_size=10))
    assert torch.equal(torch.rand(1), expected)


def test_the_callers_autocast_is_left_out() -> None:
    """The history names the precision; training had that of autocast."""
    start, results = weights(classifier()), {}
    for precision in ("float32", "bfloat16"):
        trainer = Trainer(epochs=4, batch_size=12, lr=0.05, precision=precision)  # type: ignore[arg-type]
        alone = results[precision] = trained(trainer)
        for enabled in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                assert torch.equal(trained(trainer), alone)
    # Within another autocast, torch keeps the weights that it has rounded: those of the first step.
    moved = (results["float32"] - start).norm()
    assert (results["bfloat16"] - results["float32"]).norm() < 0.05 * moved


def test_a_run_that_is_interrupted_leaves_eval_mode_and_flags() -> None:
    g = classifier()
    g.base[0].requires_grad_(False)  # type: ignore[index,operator]
    flags = [own.requires_grad for own in g.parameters()]

    def interrupt(epoch: int, step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(epochs=1, batch_size=12).fit(g, images(), progress=False, callback=interrupt)
    assert not any(part.training for part in g.modules())
    assert [own.requires_grad for own in g.parameters()] == flags


def test_images_of_other_classes_are_refused() -> None:
    data = images()
    five = type(data)(data.images, data.labels, data.index, 5, "x", "train")
    with pytest.raises(ValueError, match="expected images of the classifier's 3 classes"):
        Trainer().fit(classifier(), five)


def test_base_target_training_leaves_no_flag_behind() -> None:
    g = classifier()
    trained(Trainer(attack=PGD(epsilon=0.3, steps=1), epochs=1, batch_size=12), g)
    assert all(
        parameter.requires_grad and parameter.is_contiguous() for parameter in g.parameters()
    )


def test_a_model_that_could_not_be_saved_is_refused_at_once(tmp_path: Path) -> None:
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), 0.25, 3)
    with pytest.raises(
        ValueError, match=r"expected a base classifier from MODELS.create to keep in"
    ):
        Trainer().fit(g, images(), run_dir=tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"extras": torch.arange(24)}, "expected extras as columns by name, got Tensor"),
        (
            {"extras": {"a": [1] * 24}},
            r"expected extras\['a'\] as a torch.Tensor, got builtins.list",
        ),
        ({"extras": {"a": torch.arange(5)}}, r"expected extras\['a'\] with one row per training"),
        ({"unlabelled": images()}, "expected unlabelled as PseudoLabels, got ImageData; make them"),
        (
            {"unlabelled": PseudoLabels(images(channels=3))},
            "unlabelled images of 1 channels and 3 ",
        ),
        (
            {"unlabelled": PseudoLabels(replace(images(), num_classes=5))},
            "unlabelled images of 1 channels and 3 classes, as the training images are, got 1 chan",
        ),
        ({"validation": images(channels=3)}, "expected validation images of 1 channels and 3 cl"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(
    options: dict[str, Any], said: str
) -> None:
    steps: list[tuple[int, int]] = []
    with pytest.raises((ValueError, TypeError), match=said):
        Trainer().fit(classifier(), images(), callback=lambda *at: steps.append(at), **options)
    assert not steps


def test_only_a_smoothed_classifier_with_weights_is_trained() -> None:
    with pytest.raises(TypeError, match="expected a SmoothedClassifier, got Classifier; wrap"):
        Trainer().fit(classifier().base, images())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"expected a base classifier with parameters .* Flatten"):
        Trainer().fit(SmoothedClassifier(nn.Flatten(), 0.25, 3), images())
