"""Every attack of the registry, a plug-in's included: what any attack owes its caller."""

import dataclasses
import pickle

import pytest
import torch

from rsmooth.attacks import Attack
from rsmooth.registry import ATTACKS
from tests.attacks.outside import QUICK, quick, theirs
from tests.attacks.toys import draw, images, length, smooth_net

# Options beyond epsilon; an entry that is not named here takes the number of steps.
OPTIONS = {"foolbox": {"attack": "L2PGD", "options": {"steps": 10}, "target": "smoothed"}}


def create(name, epsilon):
    if name in QUICK:
        return quick(name, epsilon)
    return ATTACKS.create(name, epsilon=epsilon, **OPTIONS.get(name, {"steps": 10}))


@pytest.fixture(autouse=True)
def _their_warnings():
    with theirs():
        yield


def test_the_names():
    assert {
        "pgd",
        "naive-pgd",
        "smoothadv-pgd",
        "ddn",
        "naive-ddn",
        "smoothadv-ddn",
        "foolbox",
        "torchattacks",
        "autoattack",
        "art",
        "advlib",
    } <= set(ATTACKS.own_names())


@pytest.mark.parametrize("name", ATTACKS.own_names())
def test_a_registered_attack_is_a_described_value(name):
    attack = create(name, 0.5)
    assert isinstance(attack, Attack)
    assert len(ATTACKS.describe(name)) > 20
    assert attack == create(name, 0.5)
    assert hash(attack) == hash(create(name, 0.5))
    assert pickle.loads(pickle.dumps(attack)) == attack
    assert dataclasses.replace(attack, epsilon=0.25) == create(name, 0.25)
    assert "epsilon=0.5" in repr(attack)


@pytest.mark.parametrize("name", ATTACKS.own_names())
def test_a_registered_attack_says_whether_it_needs_a_box(name):
    g, x = smooth_net(), images(2)
    y = torch.zeros(2, dtype=torch.int64)
    attacks = [create(name, 0.5)]
    if "quantize_levels" in [each.name for each in dataclasses.fields(attacks[0])]:
        attacks.append(dataclasses.replace(attacks[0], quantize_levels=16))
        assert [each.needs_box for each in attacks] == [False, True]
    for attack in attacks:
        if attack.needs_box:
            with pytest.raises(ValueError, match=r"expected .*, *got (None|bounds=None)"):
                attack(g, x, y, bounds=None)
        else:
            attack(g, x, y, bounds=None)


@pytest.mark.parametrize("name", ATTACKS.own_names())
@pytest.mark.parametrize("shape", [(3, 4, 4), (1, 1, 7)])
def test_a_registered_attack_lowers_the_odds_within_ball_and_box(name, shape):
    g, x = smooth_net(shape), images(6, shape, low=0.1, high=0.9)
    noise = draw(g, x, 4)
    before = g.log_probs(x[:, None] + noise).detach()
    y = before.logsumexp(dim=1).argmax(dim=1)
    x_adv = create(name, 0.8)(g, x, y, noise=noise)
    assert x_adv.shape == x.shape
    assert not x_adv.requires_grad
    assert length(x_adv - x).max() <= 0.8 * (1 + 1e-9)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    odds = g.log_probs(x_adv[:, None] + noise).detach()[torch.arange(6), :, y].mean()
    assert odds < before[torch.arange(6), :, y].mean()
    assert torch.equal(create(name, 0.8)(g, x[:0], y[:0]), x[:0])


@pytest.mark.parametrize("name", ATTACKS.own_names())
def test_a_registered_attack_aims_at_a_target_class(name):
    g, x = smooth_net(), images(6)
    noise = draw(g, x, 4)
    before = g.log_probs(x[:, None] + noise).detach()
    y = before.logsumexp(dim=1).argsort(dim=1)[:, -2]  # the runner-up
    attack = dataclasses.replace(create(name, 1.5), targeted=True)
    if name == "autoattack":  # which aims at no class
        with pytest.raises(ValueError, match="expected an attack that can aim at a class"):
            attack(g, x, y, noise=noise)
        return
    x_adv = attack(g, x, y, noise=noise)
    odds = g.log_probs(x_adv[:, None] + noise).detach()[torch.arange(6), :, y].mean()
    assert odds > before[torch.arange(6), :, y].mean()
