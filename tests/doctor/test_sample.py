"""The images and normalisations that are tried."""

from __future__ import annotations

import pytest
import torch

from rsmooth.data.images import ImageData
from rsmooth.doctor.sample import candidates, noisy, own_constants, sample, written
from rsmooth.models.normalize import NORMALIZATIONS, constants_of


def test_images_are_spread_over_the_split() -> None:
    images = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 2, 2)
    data = ImageData(images, torch.arange(10) % 3, torch.arange(10), 3, "made", "test")
    found = sample(data, "--dataset made", most=4)
    assert found.x[:, 0, 0, 0].mul(255).round().tolist() == [0, 3, 6, 9]
    assert found.labels.tolist() == [0, 0, 0, 0]
    assert (found.shape, found.images, found.num_classes) == ((1, 2, 2), 10, 3)


def test_every_name_is_tried_on_colour_images_and_their_own_constants() -> None:
    x = torch.rand(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = candidates(x)
    assert set(NORMALIZATIONS) < set(found)
    assert written(own_constants(x)) in found


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_candidate_is_what_its_name_says(channels: int) -> None:
    from rsmooth.models.normalize import normalization_layer

    x = torch.rand(6, channels, 8, 8)
    for name, layer in candidates(x).items():
        again = normalization_layer(constants_of(name), channels)
        assert torch.equal(layer(x), again(x))


def test_stored_constants_come_first() -> None:
    found = candidates(torch.rand(4, 1, 8, 8), ((0.1,), (0.2,)))
    assert next(iter(found)) == "stored"


def test_noise_is_the_same_again() -> None:
    x = torch.zeros(3, 1, 4, 4)
    assert torch.equal(noisy(x, 0.5), noisy(x, 0.25) * 2)


def test_constants_in_words() -> None:
    assert written(None) == "none"
    assert written("cifar10") == "cifar10"
    assert written(((0.5, 0.25, 1.0),)) == "0.5,0.25,1"
    assert written((0.5, 0.25)) == "0.5:0.25"
