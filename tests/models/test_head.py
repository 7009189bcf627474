"""Another last layer: all else is kept, in the model and in its file."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.models import replace_head
from rsmooth.smoothed import SmoothedClassifier
from tests.models.helpers import OWN, build


@pytest.mark.parametrize("name", OWN)
def test_replace_head_keeps_all_but_the_last_layer(name):
    model, x = build(name)
    model = model.double().eval()
    fresh = replace_head(model, 3)
    assert fresh(x.double()).shape == (4, 3)
    assert model(x.double()).shape == (4, 7), "the model itself is left alone"
    old, new = model.state_dict(), fresh.state_dict()
    changed = [key for key in old if old[key].shape != new[key].shape]
    assert len(changed) == 2
    assert all(torch.equal(old[key], new[key]) for key in old if key not in changed)
    assert fresh.architecture == {
        "name": name,
        "options": {**model.architecture["options"], "num_classes": 3},
    }
    assert model.architecture["options"]["num_classes"] == 7


def test_a_model_with_another_head_is_saved_with_it(tmp_path):
    model, x = build("resnet8")
    fresh = replace_head(model, 3)
    SmoothedClassifier(fresh.eval(), 0.25, 3).save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    with torch.no_grad():
        assert torch.equal(loaded.base(x), fresh(x))


def test_replace_head_needs_a_head():
    with pytest.raises(
        ValueError, match="expected a model with a linear layer to replace, got Sequential"
    ):
        replace_head(nn.Sequential(nn.Conv2d(3, 3, 1)), 10)
