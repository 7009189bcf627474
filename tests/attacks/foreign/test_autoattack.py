"""AutoAttack as ours, and on g itself under frozen noise."""

import dataclasses
import logging

import pytest
import torch
from torch.testing import assert_close

from rsmooth import testing
from rsmooth.registry import ATTACKS
from tests.attacks.foreign.victims import COPIES, answers_of_g, digits_g, trains
from tests.attacks.outside import quick
from tests.attacks.toys import base_labels, draw, images, smooth_net

theirs = pytest.importorskip("pyautoattack")

ALL = {"attacks": ["apgd-ce", "apgd-t", "fab-t", "square"]}
FEW = {"n_iter": 4, "n_queries": 20, "n_target_classes": 2}


def test_each_attack_works_on_the_survivors_and_its_claims_are_true():
    """What AutoAttack says of its images is what g says, in one batch, shuffled and singly."""
    g, x, y = digits_g()
    with g.frozen_noise(0, COPIES):
        attack = theirs.AutoAttack(g, norm="L2", eps=0.45, seed=0)
        for each in (attack.apgd, attack.apgd_targeted, attack.fab):
            each.n_iter = 4
        attack.square.n_queries = 20
        sizes = []
        hook = g.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
        x_adv, claimed = attack.run_standard_evaluation(x, y, batch_size=len(x))
        hook.remove()
        assert torch.equal(answers_of_g(g, x_adv, y), claimed)
    assert len(set(sizes)) > 1, "it has kept only survivors"


def test_the_attack_of_ours_is_theirs_on_frozen_noise():
    g, x, y = digits_g()
    attack = quick("autoattack", 0.45, **ALL, options=FEW)
    with g.frozen_noise(0, COPIES):
        x_adv = attack(g, x, y, generator=torch.Generator().manual_seed(1))
        answers_of_g(g, x_adv, y)
        drawn = int(torch.randint(2**31 - 1, (), generator=torch.Generator().manual_seed(1)))
        own = theirs.AutoAttack(g, norm="L2", eps=0.45, seed=drawn)
        own.square.n_queries = 20
        for each in (own.apgd, own.apgd_targeted, own.fab):
            each.n_iter, each.n_target_classes = 4, 2
        expected, _ = own.run_standard_evaluation(x, y, batch_size=len(x))
    assert_close(x_adv, expected, atol=1e-6, rtol=0)
    assert (x_adv - x).flatten(1).norm(dim=1).max() <= 0.45 * (1 + 1e-5)


def test_under_noise_of_their_own_the_images_are_attacked_one_by_one():
    g, x, y = digits_g()
    x, y, attack = x[:3], y[:3], quick("autoattack", 0.45, options={"n_iter": 3})
    noise = draw(g, x, 2)

    def found(rows):
        generator = torch.Generator().manual_seed(1)
        return attack(g, x[rows], y[rows], noise=noise[rows], generator=generator)

    parts = [found(slice(i, i + 1)) for i in range(3)]
    assert_close(found(slice(None)), torch.cat(parts), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("norm", "order", "epsilon"), [("l1", 1, 2.0), ("l2", 2, 0.3), ("linf", torch.inf, 0.3)]
)
def test_epsilon_is_kept_in_each_norm(norm, order, epsilon):
    g, x = smooth_net(sharpness=2.0), images(4, low=0.0, high=1.0)
    attack = quick("autoattack", epsilon, norm=norm, options={"n_iter": 4, "n_restarts": 1})
    assert attack.norm == norm
    found = attack(g, x, base_labels(g, x), noise=draw(g, x, 2))
    assert 0 < (found - x).flatten(1).norm(dim=1, p=order).max() <= epsilon * (1 + 1e-9)


def test_it_passes_the_checks_for_plug_ins():
    testing.check_attack(quick("autoattack", attacks=["apgd-ce", "fab-t"], options={"n_iter": 10}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3"}, "expected the norm of AutoAttack, got 'l3'; did you mean l2 or l1"),
        ({"norm": "L2"}, "got 'L2'; did you mean l2"),
        (
            {"version": "standart"},
            "the version of AutoAttack, got 'standart'; did you mean standard",
        ),
        (
            {"attacks": ["apgd-c"]},
            "expected attacks of AutoAttack, got 'apgd-c'; did you mean apgd-ce",
        ),
        ({"attacks": []}, "expected attacks of AutoAttack, got"),
        (
            {"options": {"n_iters": 3}},
            "of the attacks of AutoAttack, got 'n_iters'; did you mean n_iter",
        ),
        ({"options": {"eps": 3}}, "of the attacks of AutoAttack, got 'eps'"),
    ],
)
def test_unknown_settings_are_refused_when_the_attack_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        ATTACKS.create("autoattack", epsilon=0.5, **options)


def test_too_few_classes_are_named():
    g, x = smooth_net(classes=3), images(2)
    with pytest.raises(ValueError, match="expected at least 4 classes for apgd-t of AutoAttack"):
        ATTACKS.create("autoattack", epsilon=0.5)(g, x, base_labels(g, x))


def test_versions_options_and_targets_are_set_on_each_attack(caplog):
    """Of 5 classes 4 can be targets; more would end in an error of an index."""
    g, x = smooth_net(), images(2)
    attack = dataclasses.replace(
        quick("autoattack"),
        version="standard",
        attacks=None,
        options={**FEW, "n_target_classes": 9},
    )
    assert attack.running == ("apgd-ce", "apgd-t", "fab-t", "square")
    with caplog.at_level(logging.WARNING):
        attack(g, x, base_labels(g, x), noise=draw(g, x[:1], 2).expand(2, -1, -1, -1, -1))
    assert not [record for record in caplog.records if "target" in record.message]
    used = attack.used()
    assert used["library"].startswith("pyautoattack ")
    assert used["attacks"] == list(attack.running)
    assert used["options"]["square"]["n_queries"] == 20
    assert used["options"]["apgd"]["n_iter"] == used["options"]["fab"]["n_iter"] == 4


def test_it_trains():
    trains(quick("autoattack", options={"n_iter": 2}))
