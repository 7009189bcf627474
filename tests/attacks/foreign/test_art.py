"""ART's evasion attacks as ours, and on g itself under frozen noise."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rsmooth import testing
from rsmooth.attacks import SmoothAdvPGD
from rsmooth.attacks.foreign.isolation import isolated, reseed
from rsmooth.registry import ATTACKS
from tests.attacks.foreign.victims import COPIES, answers_of_g, digits_g, trains
from tests.attacks.outside import need, quick, theirs
from tests.attacks.toys import base_labels, draw, images, smooth_net

need_module = pytest.importorskip("art")
PLAIN = {"max_iter": 5, "eps_step": 0.16}


@pytest.fixture(autouse=True)
def _their_warnings():
    need("art")
    with theirs():
        yield


@pytest.mark.parametrize("m", [1, 4])
def test_their_pgd_under_our_noise_is_smoothadv_pgd(m):
    g, x = smooth_net(sharpness=2.0), images(4)
    y, noise = base_labels(g, x), draw(g, x, m)
    own = SmoothAdvPGD(epsilon=0.4, steps=5)
    found = quick("art", 0.4, options=PLAIN)
    assert_close(found(g, x, y, noise=noise), own(g, x, y, noise=noise), atol=5e-5, rtol=0)
    with g.frozen_noise(3, m):
        assert_close(found(g, x, y), own(g, x, y), atol=5e-5, rtol=0)


def test_an_attack_that_draws_by_itself_follows_the_generator():
    """HopSkipJump starts from noise of a generator that it makes in each call, without a seed."""
    g, x = smooth_net(sharpness=2.0), images(3)
    y = base_labels(g, x)
    options = {"max_iter": 1, "max_eval": 10, "init_eval": 2}
    attack = quick("art", 9.0, attack="HopSkipJump", options=options)

    def found(seed):
        with g.frozen_noise(3, COPIES):
            return attack(g, x, y, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(found(1), found(1))
    assert not torch.equal(found(1), found(2))


@pytest.mark.parametrize("name", ["ProjectedGradientDescent", "HopSkipJump"])
def test_on_g_itself_images_score_alike_whatever_the_batches_of_art(name):
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    g, x, y = digits_g()
    options = {
        "ProjectedGradientDescent": {"eps": 0.45, "eps_step": 0.1, "max_iter": 5},
        "HopSkipJump": {"max_iter": 1, "max_eval": 40, "init_eval": 10},
    }[name]
    x, y = (x, y) if name == "ProjectedGradientDescent" else (x[:3], y[:3])
    with g.frozen_noise(0, COPIES):
        wrapped = PyTorchClassifier(
            g, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        attack = getattr(evasion, name)(wrapped, norm=2, batch_size=5, verbose=False, **options)
        with isolated(x.device):
            reseed(0)
            x_adv = torch.from_numpy(attack.generate(x.numpy(), np.eye(10)[y.numpy()]))
        if name == "ProjectedGradientDescent":
            answers_of_g(g, x_adv, y)
        else:  # which ends where the answer is another, for each image that it starts from
            assert (g(x_adv).argmax(dim=1) != y).any()


@pytest.mark.parametrize(
    ("name", "options", "norm"),
    [
        ("FastGradientMethod", {}, 2),
        ("ProjectedGradientDescent", {"max_iter": 2, "norm": "linf"}, torch.inf),
        ("BasicIterativeMethod", {"max_iter": 2}, torch.inf),
        ("DeepFool", {"max_iter": 5}, 2),
        ("CarliniL2Method", {"max_iter": 5, "learning_rate": 0.1, "initial_const": 10}, 2),
        ("HopSkipJump", {"max_iter": 1, "max_eval": 20, "init_eval": 5}, 2),
    ],
)
def test_every_kind_of_attack_keeps_epsilon_in_its_norm(name, options, norm):
    g, x = smooth_net(sharpness=2.0), images(3)
    y, noise = base_labels(g, x), draw(g, x[:1], 2).expand(3, -1, -1, -1, -1)
    attack = quick("art", 0.3, attack=name, options=options)
    assert attack.norm == f"l{norm}"
    x_adv = attack(g, x, y, noise=noise)
    assert 0 < (x_adv - x).flatten(1).norm(dim=1, p=norm).max() <= 0.3 * (1 + 1e-9)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


def test_the_box_may_be_another_or_none():
    g, x = smooth_net(), images(3, low=0.0, high=1.0)
    y = base_labels(g, x)
    attack = quick("art", 1.0, target="base")
    assert attack(g, x, y, bounds=None).min() < 0
    assert attack(g, x, y, bounds=(-0.1, 1.1)).min() >= -0.1


def test_attacks_pass_the_checks_for_plug_ins():
    for name in ("ProjectedGradientDescent", "DeepFool"):
        testing.check_attack(quick("art", attack=name, options={"max_iter": 5}))


def test_a_small_epsilon_needs_no_smaller_step_by_hand():
    g, x = smooth_net(), images(2)
    found = quick("art", 0.01, options={"max_iter": 2})(g, x, base_labels(g, x))
    assert 0 < (found - x).flatten(1).norm(dim=1).max() <= 0.01 * (1 + 1e-9)


def test_unknown_settings_are_refused_when_the_attack_is_made():
    for attack, options, message in (
        ("ProjectedGradientDecent", {}, "did you mean ProjectedGradientDescent"),
        ("SpatialTransformation", {}, "keeps an l1, l2 or linf norm, got SpatialTransformation"),
        ("DeepFool", {"max_iters": 3}, "got 'max_iters'; did you mean max_iter"),
        ("DeepFool", {"eps": 3}, "got 'eps'"),
        ("HopSkipJump", {"norm": 3}, "expected the norm l1, l2 or linf for HopSkipJump"),
    ):
        with pytest.raises(ValueError, match=message):
            ATTACKS.create("art", attack=attack, options=options, epsilon=0.5)


def test_the_options_are_recorded_with_their_defaults():
    used = quick("art").used()
    assert used["library"].startswith("adversarial-robustness-toolbox ")
    assert used["options"]["max_iter"] == 5
    assert used["options"]["num_random_init"] == 0
    assert used["options"]["norm"] == 2
    assert used["options"]["verbose"] is False
    assert used["options"]["batch_size"] == "the whole batch"
    assert used["options"]["eps_step"] == 0.2
    other = quick("art", options={"batch_size": 3}).used()["options"]
    assert other["batch_size"] == 3
    assert other["eps_step"] == "0.1, or epsilon where that is smaller"


def test_it_trains():
    trains(quick("art", options={"max_iter": 2}))
