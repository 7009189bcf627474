"""Noisy images: integers added exactly, floats as drawn, both keyed by seed, purpose and image."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.certify import ABSTAIN
from rsmooth.certify.cohen import certify, predict
from rsmooth.certify.votes.noisy import FloatImages, IntegerImages, noisy_images
from rsmooth.noise import Gaussian, GridSampler, Uniform, derive_key, draw
from rsmooth.registry import NOISES
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images

SHAPE = torch.Size((1, 4, 4))
IDS, SAMPLES = torch.tensor([7, 9, 7]), torch.tensor([0, 5, 2**32 - 1])

every_noise = pytest.mark.parametrize("name", NOISES.own_names())


@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_no_votes_are_drawn_without_noise(arithmetic: Any) -> None:
    with pytest.raises(ValueError, match=r"expected noise to draw votes under, .*certify_linf"):
        noisy_images(arithmetic, Gaussian(0.0), 0, SHAPE)


@every_noise
def test_integer_images_are_exact_sums(name: str) -> None:
    noise, x = NOISES.get(name)(0.3), images(3)
    source = noisy_images("integer", noise, 4, SHAPE)
    assert isinstance(source, IntegerImages)
    k = GridSampler(noise).sample(derive_key(4, "estimate"), IDS, SAMPLES, (1, 4, 4))
    points = source.points("estimate", x, IDS, SAMPLES)
    assert points.dtype == torch.float32
    assert torch.equal(points, (x.int() + k.int()).float() / 255)
    assert source.total_variation == noise.total_variation(16)
    assert not torch.equal(points, source.points("select", x, IDS, SAMPLES))


@every_noise
def test_float_images_are_images_plus_draws(name: str) -> None:
    noise, x = NOISES.get(name)(0.3), images(3).float() / 255
    source = noisy_images("float", noise, 4, SHAPE)
    assert isinstance(source, FloatImages)
    drawn = draw(noise, derive_key(4, "estimate"), IDS, SAMPLES, (1, 4, 4))
    assert torch.equal(source.points("estimate", x, IDS, SAMPLES), drawn + x)
    assert source.total_variation == 0.0
    other = noisy_images("float", noise, 5, SHAPE)
    assert not torch.equal(other.points("estimate", x, IDS, SAMPLES), drawn + x)


@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_a_number_is_sigma_and_no_noise_is_refused(arithmetic: Any) -> None:
    assert noisy_images(arithmetic, 0.25, 0, SHAPE).noise == Gaussian(0.25)
    with pytest.raises(ValueError, match=r"expected noise .*, got uniform half_width=0"):
        noisy_images(arithmetic, Uniform(0.0), 0, SHAPE)


class RecognisesRounding(nn.Module):
    """Class 1 where every value near zero is a multiple of 2^-25: grey pixels plus float noise."""

    def forward(self, z: Tensor) -> Tensor:
        steps = z.double() * 2**25
        fits = (z.abs() >= 0.25) | (steps == steps.round())
        grey = fits.flatten(1).all(1).to(z.dtype)
        return torch.stack([1 - grey, grey], dim=1)


def test_float_noise_gives_a_false_certificate_and_grid_noise_does_not() -> None:
    """A base classifier that reads the rounding of x + noise (Voracek and Hein 2023)."""
    g = SmoothedClassifier(RecognisesRounding(), 0.5, 2)
    grey, black = (torch.full((1, 1, 2, 2), value, dtype=torch.uint8) for value in (128, 0))
    distance = math.sqrt(4) * 128 / 255
    false = certify(g, grey, n=1000, arithmetic="float")
    assert false.label.item() == 1
    assert false.radius.item() > distance, "certified beyond the black image"
    assert predict(g, black, n=1000, arithmetic="float").label.item() == 0
    sound = certify(g, grey, n=1000)
    assert (
        sound.label.item() == ABSTAIN
        or sound.radius.item() < distance
        or (predict(g, black, n=1000).label.item() in (sound.label.item(), ABSTAIN))
    )
    assert sound.label.item() != 1
