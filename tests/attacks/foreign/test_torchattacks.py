"""torchattacks' attacks as ours, against our own attacks where they must agree."""

import dataclasses

import pytest
import torch
from torch.testing import assert_close

from rsmooth import testing
from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.registry import ATTACKS
from tests.attacks.foreign.victims import answers_of_g, digits_g, trains
from tests.attacks.outside import quick
from tests.attacks.toys import base_labels, draw, images, smooth_net

theirs = pytest.importorskip("torchattacks")

# Our steps of 2 * epsilon / steps, from the image itself.
PLAIN = {"steps": 5, "alpha": 0.16, "random_start": False}


def plain(name="PGDL2", epsilon=0.4, **options):
    return quick("torchattacks", epsilon, attack=name, options={**PLAIN, **options})


@pytest.mark.parametrize("m", [1, 4])
def test_their_pgd_under_our_noise_is_smoothadv_pgd(m):
    g, x = smooth_net(sharpness=2.0), images(4)
    y, noise = base_labels(g, x), draw(g, x, m)
    own = SmoothAdvPGD(epsilon=0.4, steps=5)
    assert_close(plain()(g, x, y, noise=noise), own(g, x, y, noise=noise), atol=2e-5, rtol=0)
    with g.frozen_noise(3, m):
        assert_close(plain()(g, x, y), own(g, x, y), atol=2e-5, rtol=0)


def test_their_linf_pgd_is_ours():
    g, x = smooth_net(), images(4)
    y = base_labels(g, x)
    found = dataclasses.replace(plain("PGD"), target="base")
    assert found.norm == "linf"
    own = PGD(epsilon=0.4, steps=5, norm="linf")
    assert_close(found(g, x, y), own(g, x, y), atol=1e-6, rtol=0)


def test_their_pgd_on_g_itself_is_smoothadv_pgd():
    """G handed over as it is, within frozen_noise."""
    g, x = smooth_net(sharpness=2.0).train(), images(4)
    y = base_labels(g.eval(), x)
    g.train()
    with g.frozen_noise(3, 4):
        found = theirs.PGDL2(g, eps=0.4, **PLAIN)(x, y)
        own = SmoothAdvPGD(epsilon=0.4, steps=5)(g, x, y)
    assert_close(found, own, atol=1e-9, rtol=0)
    assert g.training
    assert all(own.requires_grad and own.grad is None for own in g.parameters())


@pytest.mark.parametrize(
    ("name", "options", "norm"),
    [
        ("PGDL2", {"steps": 3}, 2),
        ("PGD", {"steps": 3}, torch.inf),
        ("PIFGSM", {"num_iter_set": 2}, torch.inf),
        ("CW", {"steps": 30, "lr": 0.05}, 2),
        ("DeepFool", {"steps": 10}, 2),
        ("EADL1", {"max_iterations": 20, "lr": 0.05, "initial_const": 10}, 1),
        ("APGD", {"steps": 5}, 2),
        ("APGD", {"steps": 5, "norm": "linf"}, torch.inf),
        ("FAB", {"steps": 3}, 2),
    ],
)
def test_every_kind_of_attack_keeps_epsilon_in_its_norm(name, options, norm):
    g, x = smooth_net(sharpness=2.0), images(4)
    y, noise = base_labels(g, x), draw(g, x, 4)
    attack = quick("torchattacks", 0.3, attack=name, options=options)
    assert attack.norm == f"l{norm}"
    x_adv = attack(g, x, y, noise=noise)
    assert 0 < (x_adv - x).flatten(1).norm(dim=1, p=norm).max() <= 0.3 * (1 + 1e-9)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


@pytest.mark.parametrize("name", ["PGD", "CW", "APGD", "DeepFool"])
def test_attacks_of_theirs_pass_the_checks_for_plug_ins(name):
    testing.check_attack(quick("torchattacks", attack=name, options={"steps": 8}))


def test_their_carlini_wagner_needs_positive_logits_and_gets_them():
    """It finds nothing on g itself, whose answers are logarithms; the guide says so."""
    g, x = smooth_net(sharpness=2.0), images(4)
    with g.frozen_noise(3, 4):
        with torch.no_grad():
            y = g(x).argmax(dim=1)
        blind = theirs.CW(g, steps=30, lr=0.05)(x, y)
        seeing = quick("torchattacks", 2.0, attack="CW", options={"steps": 30, "lr": 0.05})(g, x, y)
        with torch.no_grad():
            assert (g(blind).argmax(dim=1) == y).all()
            assert (g(seeing).argmax(dim=1) != y).all()


def test_autoattack_keeps_only_survivors_and_g_stays_one_function():
    g, x, y = digits_g()
    with g.frozen_noise(0, 4):
        # APGD with the targeted loss on what APGD with cross-entropy leaves.
        attack = theirs.MultiAttack(
            [
                theirs.APGD(g, norm="L2", eps=0.5, steps=3),
                theirs.APGDT(g, norm="L2", eps=0.5, steps=3, n_classes=10),
            ]
        )
        answers_of_g(g, attack(x, y), y)


def test_what_keeps_no_known_norm_is_refused():
    for name in ("Pixle", "VANILA", "MultiAttack"):
        with pytest.raises(ValueError, match=f"keeps an l1, l2 or linf norm, got {name}"):
            ATTACKS.create("torchattacks", attack=name, epsilon=0.5)
    with pytest.raises(
        ValueError, match=r"expected an attack of torchattacks, got 'PGDl'; did you"
    ):
        ATTACKS.create("torchattacks", attack="PGDl", epsilon=0.5)
    with pytest.raises(ValueError, match="expected the norm l1, l2 or linf for APGD"):
        ATTACKS.create("torchattacks", attack="APGD", epsilon=0.5, options={"norm": "L3"})
    with pytest.raises(ValueError, match="got 'stepz'; did you mean steps"):
        ATTACKS.create("torchattacks", attack="PGDL2", epsilon=0.5, options={"stepz": 3})


def test_the_options_are_recorded_with_their_defaults():
    used = plain().used()
    assert used["library"].startswith("torchattacks ")
    assert used["options"] == {**PLAIN, "eps_for_division": 1e-10}


def test_it_trains():
    trains(quick("torchattacks"))
