"""adv_lib's attacks as ours, and on g itself under frozen noise."""

import sys
from importlib.util import find_spec

import pytest
import torch
from torch.testing import assert_close

from rsmooth import testing
from rsmooth.attacks import DDN
from rsmooth.attacks.foreign import advlib
from rsmooth.attacks.foreign.advlib import AdvLibAttack
from rsmooth.registry import ATTACKS
from tests.attacks.foreign.victims import COPIES, answers_of_g, digits_g, trains
from tests.attacks.outside import quick, theirs
from tests.attacks.toys import base_labels, draw, images, smooth_net

pytestmark = pytest.mark.skipif(find_spec("adv_lib") is None, reason="adv_lib is not installed")


@pytest.fixture(autouse=True)
def _their_warnings():
    with theirs():
        yield


def test_their_ddn_is_ours():
    """With one noise sample; with more ours looks at votes, and theirs at the mean probability."""
    g, x = smooth_net(sharpness=2.0), images(4)
    noise = draw(g, x, 1)
    y = g.log_probs(x[:, None] + noise)[:, 0].argmax(dim=1)
    theirs_at = quick("advlib", 0.6, options={"steps": 20, "levels": None, "init_norm": 0.6})
    own = DDN(epsilon=0.6, steps=20, target="smoothed", objective="smoothadv")
    found = own(g, x, y, noise=noise)
    assert_close(theirs_at(g, x, y, noise=noise), found, atol=1e-5, rtol=0)
    assert (found != x).flatten(1).any(dim=1).all()


def test_on_g_itself_images_score_alike():
    adv_lib = AdvLibAttack.library.load()
    g, x, y = digits_g()
    with g.frozen_noise(0, COPIES):
        x_adv = adv_lib.apgd(g, x, y, eps=0.45, norm=2, n_iter=4, n_restarts=2)
        answers_of_g(g, x_adv, y)
    assert (x_adv - x).flatten(1).norm(dim=1).max() <= 0.45 * (1 + 1e-4)


@pytest.mark.parametrize(
    ("name", "options", "norm"),
    [
        ("ddn", {"steps": 10, "gamma": 0.1}, 2),
        ("fmn", {"steps": 10, "norm": "linf"}, torch.inf),
        ("tr", {"iter": 5, "p": 2}, 2),
        ("alma", {"num_steps": 20}, 2),
        ("pgd_linf", {"steps": 3}, torch.inf),
        ("apgd", {"n_iter": 4}, 2),
        ("fab", {"n_iter": 3}, 2),
    ],
)
def test_every_kind_of_attack_keeps_epsilon_in_its_norm(name, options, norm):
    g, x = smooth_net(), images(4, low=0.0, high=1.0)
    y, noise = base_labels(g, x), draw(g, x, 4)
    attack = quick("advlib", 0.3, attack=name, options=options)
    assert attack.norm == f"l{norm}"
    x_adv = attack(g, x, y, noise=noise)
    assert 0 < (x_adv - x).flatten(1).norm(dim=1, p=norm).max() <= 0.3 * (1 + 1e-9)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


def test_attacks_pass_the_checks_for_plug_ins():
    testing.check_attack(quick("advlib"))
    testing.check_attack(quick("advlib", attack="apgd", options={"n_iter": 5}))


def test_unknown_settings_are_refused_when_the_attack_is_made():
    for attack, options, message in (
        ("dnn", {}, "expected an attack of adv-lib, got 'dnn'; did you mean ddn"),
        ("sigma_zero", {}, "keeps an l1, l2 or linf norm, got sigma_zero"),
        ("ddn", {"gama": 3}, "got 'gama'; did you mean gamma"),
        ("pgd_linf", {"epsilon": 3}, "without 'epsilon'"),
        ("fmn", {"norm": "l7"}, "expected the norm l1, l2 or linf for fmn"),
    ):
        with pytest.raises(ValueError, match=message):
            ATTACKS.create("advlib", attack=attack, options=options, epsilon=0.5)


def test_visdom_is_not_needed(monkeypatch):
    found = advlib.find_spec
    monkeypatch.setattr(advlib, "find_spec", lambda name: None if name == "visdom" else found(name))
    monkeypatch.delitem(sys.modules, "adv_lib", raising=False)
    monkeypatch.delitem(sys.modules, "visdom", raising=False)
    with advlib._visdom():
        import visdom

        assert vars(visdom).get("Visdom") is None, "a name to import, and no more"
    assert "visdom" not in sys.modules


def test_it_trains():
    trains(quick("advlib", options={"steps": 3}))
