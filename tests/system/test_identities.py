"""Identities across parts, in float64: two ways to the same number, from definitions alone."""

import math

import pytest
import torch
from torch import nn

from rsmooth import (
    DDN,
    PGD,
    NaivePGD,
    NoiseThenPerturb,
    SmoothAdvPGD,
    SmoothedClassifier,
    Trainer,
    certify,
)
from rsmooth.certify.proof.bounds import radius_from_counts


def setting(sigma: float = 0.3, m: int = 3):
    """A smooth network, images away from the box, labels and noise, all float64."""
    torch.manual_seed(0)
    base = nn.Sequential(nn.Flatten(), nn.Linear(27, 16), nn.Tanh(), nn.Linear(16, 4)).double()
    g = SmoothedClassifier(base, sigma=sigma, num_classes=4)
    x = 0.4 + 0.2 * torch.rand(5, 3, 3, 3, dtype=torch.float64)
    return g, x, torch.tensor([0, 1, 2, 3, 0]), g.sample_noise(x, m)


def test_one_sample_makes_smoothadv_naive():
    g, x, y, noise = setting(m=1)
    torch.testing.assert_close(
        SmoothAdvPGD(epsilon=0.2, steps=3)(g, x, y, noise=noise),
        NaivePGD(epsilon=0.2, steps=3)(g, x, y, noise=noise),
        rtol=0,
        atol=1e-12,
    )


def test_several_samples_do_not():
    g, x, y, noise = setting(m=3)
    smooth = SmoothAdvPGD(epsilon=0.2, steps=3)(g, x, y, noise=noise)
    assert not torch.allclose(
        smooth, NaivePGD(epsilon=0.2, steps=3)(g, x, y, noise=noise), atol=1e-6
    )


@pytest.mark.parametrize("kind", [PGD, DDN])
def test_without_noise_the_smoothed_target_is_the_base(kind):
    g, x, y, noise = setting(sigma=0.0, m=2)
    assert noise.abs().max() == 0
    smoothed = kind(epsilon=0.2, steps=4, target="smoothed", objective="smoothadv")(
        g, x, y, noise=noise
    )
    torch.testing.assert_close(smoothed, kind(epsilon=0.2, steps=4)(g, x, y), rtol=0, atol=1e-12)


def test_order_3_is_order_4_at_one_sample_without_the_box():
    g, x, y, noise = setting(m=1)
    attack = PGD(epsilon=0.2, steps=3)
    third = NoiseThenPerturb(attack=attack).training_points(g, x, y, noise, attack)
    fourth = (
        SmoothAdvPGD(epsilon=0.2, steps=3)(g, x, y, noise=noise, bounds=None).unsqueeze(1) + noise
    )
    torch.testing.assert_close(third, fourth, rtol=0, atol=1e-12)


@pytest.mark.parametrize("attack", [PGD(epsilon=0, steps=2), SmoothAdvPGD(epsilon=0, steps=2)])
def test_epsilon_zero_leaves_gaussian_augmentation(attack):
    g, x, y, noise = setting()
    points = Trainer(attack=attack, num_noise=3).training_points(g, x, y, noise, attack)
    assert torch.equal(points, Trainer(num_noise=3).training_points(g, x, y, noise, None))


def test_certified_radius_of_a_linear_classifier_stays_below_its_distance():
    """For f(x) = sign(w.x + b) the true radius is the distance.

    For P(f(x + noise) = c) = Phi(distance / sigma). 20 seeds at alpha = 0.05 on one image: more
    than 6 failures have probability below 4e-5 if each has 5 %.
    """
    weight = torch.randn(12, generator=torch.Generator().manual_seed(3))
    linear = nn.Linear(12, 2)
    with torch.no_grad():
        linear.weight.copy_(torch.stack([weight, -weight]))
        linear.bias.zero_()
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), linear), sigma=0.5, num_classes=2)
    x = torch.full((1, 3, 2, 2), 128 / 255)
    distance = abs(float(x.flatten() @ weight)) / float(weight.norm())
    radii = [
        float(certify(g, x, n0=20, n=400, alpha=0.05, seed=s, precision="float32").radius[0])
        for s in range(20)
    ]
    assert sum(r > distance for r in radii) <= 6
    assert max(radii) > 0.5 * distance, "the bound is not vacuous"
    share = 0.5 * math.erfc(-distance / 0.5 / math.sqrt(2))
    assert radius_from_counts(round(share * 10**6), 10**6, 0.5, 0.05) == pytest.approx(
        distance, rel=0.01
    )
