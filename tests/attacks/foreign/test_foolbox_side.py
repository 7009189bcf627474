"""Our classifiers and attacks in foolbox's hands: log G, its bounds, our own results."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    FoolboxAttack,
    NaivePGD,
    to_foolbox,
    to_foolbox_attack,
)
from tests.attacks.toys import base_labels, draw, images, smooth_net

EXACT = {"atol": 1e-10, "rtol": 0}


def test_to_foolbox_returns_log_g_within_the_bounds():
    g, x = smooth_net(), images(3)
    model = to_foolbox(g)
    with g.frozen_noise(seed=3, num_noise=8):
        assert torch.equal(model(x), g(x).detach())
        assert_close(model(x).exp().sum(dim=1), torch.ones(3, dtype=torch.float64))
    assert tuple(model.bounds) == (0, 1)
    assert tuple(to_foolbox(g, (-1.0, 2.0)).bounds) == (-1, 2)
    with pytest.raises(ValueError, match="expected images in the units of the smoothed classifier"):
        model.transform_bounds((-1, 1))


@pytest.mark.parametrize("targeted", [False, True])
def test_our_attack_runs_in_foolbox_at_its_epsilons(fb, targeted):
    g, x = smooth_net(sharpness=2.0), images(4)
    y = (base_labels(g, x) + targeted) % 5
    criterion = (
        fb.criteria.TargetedMisclassification(y) if targeted else fb.criteria.Misclassification(y)
    )
    attack = to_foolbox_attack(NaivePGD(epsilon=9.0, steps=5), num_noise=4, seed=2)
    with g.frozen_noise(seed=0):
        raw, clipped, success = attack(to_foolbox(g), x, criterion, epsilons=[0.2, 0.5])
    for i, epsilon in enumerate([0.2, 0.5]):
        ours = NaivePGD(epsilon=epsilon, steps=5, targeted=targeted)(
            g, x, y, noise=draw(g, x, 4, seed=2)
        )
        assert_close(raw[i], ours, **EXACT)
        assert_close(clipped[i], ours, **EXACT)
    assert success.shape == (2, 4)
    other = to_foolbox_attack(NaivePGD(epsilon=9.0, steps=5), num_noise=4, seed=3)
    assert not torch.allclose(other(to_foolbox(g), x, criterion, epsilons=0.2)[0], raw[0])


def test_foolbox_clips_our_attack_in_its_own_norm(fb):
    g, x = smooth_net(sigma=0.0), images(4)
    y = base_labels(g, x)
    attack = to_foolbox_attack(PGD(epsilon=9.0, steps=5, norm="linf"))
    raw, clipped, _ = attack(to_foolbox(g), x, y, epsilons=0.02)
    assert_close(clipped, raw, **EXACT)
    assert_close(raw, PGD(epsilon=0.02, steps=5, norm="linf")(g, x, y), **EXACT)
    assert str(to_foolbox_attack(DDN(epsilon=1.0, steps=2)).distance) == "L2.0 distance"


@pytest.mark.parametrize("attack", [PGD(epsilon=1.0, steps=5), DDN(epsilon=1.0, steps=10)])
def test_our_attack_runs_on_any_foolbox_model_and_keeps_to_its_bounds(fb, attack):
    g, x = smooth_net(), images(4)
    y = base_labels(g, x)
    model = fb.PyTorchModel(nn.Sequential(g.base).eval(), bounds=(0.35, 0.65), device="cpu")
    raw, _, _ = to_foolbox_attack(attack)(model, x, y, epsilons=1.0)
    assert_close(raw, attack(g, x, y, bounds=(0.35, 0.65)), **EXACT)
    assert (raw != x).any()
    assert all(p.grad is None for p in g.parameters())


def test_our_attack_has_the_distance_of_its_norm(fb):
    for name, distance in (("LinfPGD", fb.distances.linf), ("L2PGD", fb.distances.l2)):
        attack = to_foolbox_attack(FoolboxAttack(attack=name, epsilon=0.1))
        assert attack.distance.p == distance.p
