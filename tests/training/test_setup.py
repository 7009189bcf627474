"""Setting up a run: forms of data, refusals, and what is left as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from rsmooth.attacks import PGD
from rsmooth.defenses import Trainer
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
