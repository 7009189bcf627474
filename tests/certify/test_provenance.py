"""What results and journals say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.certify.provenance import stated
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.noise import GridSampler
from rsmooth.records.noise import recorded_noise
from rsmooth.records.statement import Statement
from rsmooth.records.upgrade import upgraded
from rsmooth.registry import NOISES

SHAPE = torch.Size((3, 4, 4))


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_a_record_says_its_noise_and_what_follows(name: str, arithmetic: Any) -> None:
    noise = NOISES.get(name)(0.25)
    settings = CertifySettings(arithmetic=arithmetic, alpha=0.01)
    found = stated(settings, noisy_images(arithmetic, noise, 0, SHAPE))
    assert Statement.of(found) == Statement(noise.norm, "probabilistic", 0.01, f"{name} smoothing")
    assert recorded_noise(found) == noise
    assert upgraded(found) == found
    assert ("sigma" in found) == (name == "gaussian")
    exact = arithmetic == "integer"
    assert found["noise"] == {
        "distribution": noise.record(),
        "arithmetic": arithmetic,
        **({"sampler": GridSampler(noise).tag} if exact else {}),
        **({"total_variation": noise.total_variation(48)} if exact else {}),
    }
    assert {key: found[key] for key in settings.statement()} == settings.statement()
