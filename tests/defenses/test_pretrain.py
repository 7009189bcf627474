"""Fine-tuning: the saved classifier is kept, but for its last layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth.defenses import init_from
from rsmooth.noise import Uniform
from tests.training.helpers import CLASSES, classifier


def test_init_from_keeps_all_but_the_head(tmp_path: Path) -> None:
    teacher = classifier()
    teacher.save(tmp_path / "model.pt")
    g = init_from(tmp_path / "model.pt", sigma=0.5, num_classes=5)
    old, new = teacher.base.state_dict(), g.base.state_dict()
    changed = [name for name in old if not torch.equal(old[name], new[name])]
    assert len(changed) == 2  # weight and bias of the last layer
    assert g.sigma == 0.5
    assert new[changed[0]].shape[0] == 5
    g.save(tmp_path / "tuned.pt")
    # Fresh even for as many classes.
    same = init_from(tmp_path / "model.pt", sigma=0.25, num_classes=CLASSES)
    assert not torch.equal(same.base.state_dict()[changed[0]], old[changed[0]])


def test_a_kept_head_makes_it_the_saved_classifier(tmp_path: Path) -> None:
    teacher = classifier()
    teacher.save(tmp_path / "model.pt")
    g = init_from(tmp_path / "model.pt", sigma=0.5, num_classes=CLASSES, keep_head=True)
    old, new = teacher.base.state_dict(), g.base.state_dict()
    assert all(torch.equal(old[name], new[name]) for name in old)
    assert g.sigma == 0.5
    other = init_from(tmp_path / "model.pt", noise=Uniform(0.5), num_classes=CLASSES, num_noise=3)
    assert (other.noise, other.num_noise) == (Uniform(0.5), 3)
    with pytest.raises(ValueError, match=r"expected a model of 99 classes .* leave keep_head out"):
        init_from(tmp_path / "model.pt", sigma=0.5, num_classes=99, keep_head=True)
