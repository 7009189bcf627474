"""A denoiser and a classifier as one model: built, saved, certified, given another head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsmooth import DENOISERS, MODELS, SmoothedClassifier, certify, testing
from rsmooth.models import replace_head

FRONT: dict[str, Any] = {"name": "dncnn", "depth": 3, "width": 4, "in_channels": 1}
BACK: dict[str, Any] = {"name": "small-cnn", "num_classes": 3, "in_channels": 1, "width": 4}
X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_it_is_the_classifier_of_the_denoised_image_and_one_model(tmp_path: Path) -> None:
    front, back = (
        registry.create(spec["name"], **{k: v for k, v in spec.items() if k != "name"})
        for registry, spec in ((DENOISERS, FRONT), (MODELS, BACK))
    )
    torch.nn.init.normal_(front.dncnn[-1].weight)
    SmoothedClassifier(back, 0.25, 3).save(tmp_path / "back.pt")
    bases = [
        MODELS.create("denoised", denoiser=front, classifier=part).eval()
        for part in (back, tmp_path / "back.pt", str(tmp_path / "back.pt"))
    ]
    with torch.no_grad():
        for base in bases:
            torch.testing.assert_close(base(X), back.eval()(front.eval()(X)))
    g = SmoothedClassifier(bases[1], 0.25, 3).eval()
    g.save(tmp_path / "whole.pt")
    (tmp_path / "back.pt").unlink()
    loaded = SmoothedClassifier.load(tmp_path / "whole.pt")
    with torch.no_grad():
        assert torch.equal(loaded.base(X), g.base(X))
    testing.check_model(loaded.base)
    images = (255 * X).to(torch.uint8)
    counts = [certify(own, images, n=200, seed=0).counts for own in (g, loaded)]
    np.testing.assert_array_equal(*counts)


def test_names_suffice_and_the_data_says_the_rest() -> None:
    base = MODELS.create(
        "denoised", denoiser="memnet", classifier="small-cnn", num_classes=5, in_channels=1
    )
    assert base.eval()(X).shape == (4, 5)


def test_another_head_is_that_of_the_classifier(tmp_path: Path) -> None:
    base = replace_head(MODELS.create("denoised", denoiser=FRONT, classifier=BACK), 7)
    SmoothedClassifier(base.eval(), 0.25, 7).save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    with torch.no_grad():
        assert torch.equal(loaded.base(X), base(X))
        assert loaded.base(X).shape == (4, 7)
