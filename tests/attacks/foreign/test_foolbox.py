"""foolbox's attacks as ours, against our own attacks where they must agree."""

import logging
import subprocess
import sys

import pytest
import torch
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    FoolboxAttack,
    SmoothAdvPGD,
)
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Hole, base_labels, draw, images, length, linear_net, smooth_net

EXACT = {"atol": 1e-10, "rtol": 0}
PLAIN_PGD = {"steps": 8, "abs_stepsize": 0.1, "random_start": False}


def test_importing_the_attacks_does_not_import_foolbox():
    code = "import sys, rsmooth.attacks; print('foolbox' in sys.modules, 'eagerpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False False"


@pytest.mark.parametrize("m", [1, 4])
def test_their_pgd_under_our_noise_is_smoothadv_pgd(m):
    g, x = smooth_net(sharpness=2.0), images(4)
    y, noise = base_labels(g, x), draw(g, x, m)
    theirs = FoolboxAttack(attack="L2PGD", options=PLAIN_PGD, epsilon=0.4, target="smoothed")
    assert_close(
        theirs(g, x, y, noise=noise),
        SmoothAdvPGD(epsilon=0.4, steps=8)(g, x, y, noise=noise),
        **EXACT,
    )
    generator = torch.Generator().manual_seed(2)
    assert torch.equal(
        theirs(g, x, y, num_noise=m, generator=generator), theirs(g, x, y, noise=noise)
    )


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_their_attacks_on_the_base_are_ours(targeted, bounds):
    g, x = smooth_net(), images(4, low=0.45, high=0.55)
    y = (base_labels(g, x) + targeted) % 5
    options = {"epsilon": 0.4, "targeted": targeted}
    pgd = FoolboxAttack(attack="L2PGD", options=PLAIN_PGD, **options)(g, x, y, bounds=bounds)
    assert_close(pgd, PGD(steps=8, **options)(g, x, y, bounds=bounds), **EXACT)
    their_ddn = FoolboxAttack(
        attack="DDNAttack", options={"steps": 20, "init_epsilon": 0.4}, **options
    )
    ddn = their_ddn(g, x, y, bounds=bounds)
    own = DDN(steps=20, **options)(g, x, y, bounds=bounds)
    changed = (ddn != x).flatten(1).any(dim=1)
    assert changed.any()
    # Theirs withdraws what no longer succeeds after clipping; where it keeps something, it is what
    # ours returns.
    assert_close(ddn[changed], own[changed], atol=1e-6, rtol=0)


@pytest.mark.parametrize("bounds_off", [False, True])
def test_without_bounds_their_box_cannot_bind(bounds_off):
    g, x = smooth_net(), images(4, low=0.0, high=1.0)
    attack = FoolboxAttack(attack="L2PGD", options=PLAIN_PGD, epsilon=1.0)
    x_adv = attack(g, x, base_labels(g, x), bounds=None if bounds_off else (0.0, 1.0))
    assert bool(x_adv.min() < 0) == bounds_off


@pytest.mark.parametrize(
    ("attack", "options", "norm"),
    [
        ("L2DeepFoolAttack", {"steps": 20}, 2),
        ("L2CarliniWagnerAttack", {"binary_search_steps": 2, "steps": 10}, 2),
        ("LinfPGD", {"steps": 5}, torch.inf),
        ("L2FastGradientAttack", {}, 2),
        ("DDNAttack", {"steps": 10}, 2),
    ],
)
def test_every_kind_of_attack_stays_within_epsilon_in_its_norm_and_in_the_box(
    attack, options, norm
):
    g, x = smooth_net(), images(4, low=0.0, high=1.0)
    y, noise = base_labels(g, x), draw(g, x, 4)
    x_adv = FoolboxAttack(attack=attack, options=options, epsilon=0.6, target="smoothed")(
        g, x, y, noise=noise
    )
    distance = (x_adv - x).flatten(1).norm(dim=1, p=norm)
    assert FoolboxAttack(attack=attack, options=options, epsilon=0.6).norm == f"l{norm}"
    assert distance.max() <= 0.6 * (1 + 1e-9)
    assert distance.max() > 0
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert not x_adv.requires_grad


def test_what_fails_falls_back_to_the_image_or_to_the_last_point():
    g, x = linear_net(), images(3)
    g.base[1].bias.data[0] += 10.0  # class 0, out of reach
    y = torch.zeros(3, dtype=torch.int64)
    pgd, ddn = {"attack": "L2PGD", "options": PLAIN_PGD}, {"attack": "DDNAttack"}
    for options, fallback, moves in [
        (pgd, None, True),
        (pgd, "last", True),
        (pgd, "clean", False),
        (ddn, None, False),
        (ddn, "clean", False),
    ]:
        x_adv = FoolboxAttack(epsilon=0.2, fallback=fallback, **options)(g, x, y)
        assert bool((x_adv != x).any()) == moves, (options, fallback)
    # A minimisation attack that succeeds only beyond epsilon: clipped, it fails; "last" hands the
    # clipped point over.
    g.base[1].bias.data[0] -= 6.0
    far = FoolboxAttack(epsilon=0.2, fallback="last", attack="DDNAttack")(g, x, y)
    assert_close(length(far - x), torch.full((3,), 0.2, dtype=torch.float64))
    assert torch.equal(FoolboxAttack(epsilon=0.2, attack="DDNAttack")(g, x, y), x)


def test_an_attack_may_be_given_as_an_object(fb):
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    named = FoolboxAttack(attack="L2PGD", options=PLAIN_PGD, epsilon=0.4)
    given = FoolboxAttack(attack=fb.attacks.L2PGD(**PLAIN_PGD), epsilon=0.4)
    assert torch.equal(given(g, x, y), named(g, x, y))
    other = FoolboxAttack(attack="L2PGD", options={**PLAIN_PGD, "steps": 2}, epsilon=0.4)
    assert not torch.allclose(other(g, x, y), named(g, x, y))
    with pytest.raises(ValueError, match="expected options only with the name of a foolbox attack"):
        FoolboxAttack(attack=fb.attacks.L2PGD(), options={"steps": 3}, epsilon=0.4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"attack": "L2PDG"},
            "expected a class of foolbox.attacks, got 'L2PDG'; did you mean .*L2PGD",
        ),
        ({"attack": "zzz"}, "expected a class of foolbox.attacks, got 'zzz'; see foolbox.attacks"),
        (
            {"attack": "L2PGD", "fallback": "best"},
            "expected fallback 'clean', 'last' or None, got 'best'",
        ),
        ({"attack": "L2PGD", "epsilon": -1.0}, "expected a finite epsilon >= 0"),
        ({"attack": "SpatialAttack"}, "of a known norm, got SpatialAttack, which keeps no epsilon"),
        ({"attack": "PointwiseAttack"}, "of a known norm, got PointwiseAttack"),
        ({"attack": "InversionAttack"}, "got InversionAttack, .* .options: .distance: l2."),
        (
            {"attack": "InversionAttack", "options": {"distance": "cosine"}},
            "of a known norm, got InversionAttack",
        ),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FoolboxAttack(**{"epsilon": 0.5, **options})


def test_an_attack_of_several_norms_takes_one_by_its_name(fb):
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    for name, order in (("l1", 1), ("l2", 2), ("linf", torch.inf)):
        attack = FoolboxAttack(
            attack="LinearSearchContrastReductionAttack",
            options={"distance": name},
            epsilon=0.2,
            fallback="last",
        )
        assert attack.norm == name
        x_adv = attack(g, x, y)
        assert (x_adv - x).flatten(1).norm(dim=1, p=order).max() <= 0.2 * (1 + 1e-9)


def test_an_unknown_option_is_refused_when_the_attack_is_made():
    with pytest.raises(ValueError, match="stepz"):
        FoolboxAttack(attack="L2PGD", options={"stepz": 3}, epsilon=0.4)


def test_nan_logits_yield_no_number():
    g, x = SmoothedClassifier(Hole(), 0.0, 2), images(3)
    x[:, 0, 0, 0] = torch.tensor([0.4, 0.9, 0.4])
    with pytest.raises(ValueError, match=r"images \[1\] of the batch"):
        FoolboxAttack(attack="L2PGD", epsilon=0.01)(g, x, torch.zeros(3, dtype=torch.int64))


def test_the_model_is_left_as_it_was():
    g, x = smooth_net().train(), images(3)
    FoolboxAttack(attack="L2PGD", epsilon=0.4, target="smoothed")(g, x, base_labels(g, x))
    assert g.training
    assert all(p.requires_grad and p.grad is None for p in g.parameters())


def test_their_attacks_see_log_g(fb):
    seen = []

    class Look(fb.attacks.L2PGD):
        def run(self, model, inputs, criterion, *, epsilon, **options):
            seen.append(model(inputs).raw)
            return inputs

    g, x = smooth_net(), images(3)
    noise = draw(g, x, 4)
    FoolboxAttack(attack=Look(), epsilon=0.4, target="smoothed")(
        g, x, base_labels(g, x), noise=noise
    )
    assert_close(seen[0].exp(), g.log_probs(x[:, None] + noise).detach().exp().mean(dim=1))


def test_an_attack_that_changes_the_batch_goes_through_the_images_one_by_one(fb):
    import eagerpy as ep

    class One(fb.attacks.L2PGD):
        """It evaluates one image at a time."""

        def run(self, model, inputs, criterion, *, epsilon, **options):
            parts = [
                super(One, self).run(
                    model, inputs[i : i + 1], criterion.labels.raw[i : i + 1], epsilon=epsilon
                )
                for i in range(len(inputs))
            ]
            return ep.concatenate(parts)

    g, x = smooth_net(), images(3)
    y, noise = base_labels(g, x), draw(g, x, 4)
    one = FoolboxAttack(attack=One(**PLAIN_PGD), epsilon=0.4, target="smoothed")
    whole = FoolboxAttack(attack="L2PGD", options=PLAIN_PGD, epsilon=0.4, target="smoothed")
    assert_close(one(g, x, y, noise=noise), whole(g, x, y, noise=noise), **EXACT)


def test_what_is_no_attack_of_foolbox_is_refused():
    with pytest.raises(ValueError, match=r"expected the name of a class of foolbox\.attacks"):
        FoolboxAttack(attack=5, epsilon=0.5)


def test_the_root_logger_keeps_its_handlers(monkeypatch):
    """Their DeepFool logs, and by that gives it one, which printed all that the caller logged."""
    monkeypatch.setattr(logging.root, "handlers", [])
    g, x = linear_net(), images(2)
    attack = FoolboxAttack(attack="L2DeepFoolAttack", options={"steps": 1}, epsilon=0.1)
    attack(g, x, base_labels(g, x))
    assert logging.root.handlers == []


@pytest.mark.parametrize("attack", ["L2PGD", "LinfPGD", "L2AdditiveGaussianNoiseAttack"])
def test_the_generator_decides_their_random_starts_and_no_other_state_moves(attack):
    g, x = smooth_net(), images(4)
    y, noise = base_labels(g, x), draw(g, x, 2)
    theirs = FoolboxAttack(attack=attack, epsilon=0.1, target="smoothed")
    before = torch.get_rng_state()
    one, again, other = (
        theirs(g, x, y, noise=noise, generator=torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)
