"""PGD: an exact oracle, identities between targets, objectives and orders, foolbox's PGD."""

import dataclasses
import inspect

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from rsmooth.attacks import DDN, PGD, NaiveDDN, NaivePGD, SmoothAdvDDN, SmoothAdvPGD, to_foolbox
from rsmooth.registry import NOISES
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import base_labels, draw, images, length, linear_net, smooth_net

EXACT = {"atol": 1e-10, "rtol": 0}


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("shape", [(1, 1, 6), (3, 4, 4), (1, 5, 7)])
@pytest.mark.parametrize("make", [PGD, NaivePGD, SmoothAdvPGD])
@pytest.mark.parametrize("steps", [1, 7])
def test_against_two_linear_classes_it_ends_at_epsilon_along_the_weights(batch, shape, make, steps):
    g, x = linear_net(shape), images(batch, shape)
    y = base_labels(g, x)
    w = (g.base[1].weight[0] - g.base[1].weight[1]).view(1, *shape)  # the margin of class 0
    away = torch.where(y.view(-1, 1, 1, 1) == 0, -1.0, 1.0) * w / w.norm()
    attacked = make(epsilon=0.3, steps=steps)(g, x, y, num_noise=4)
    assert_close(attacked, x + 0.3 * away, **EXACT)
    assert_close(
        make(epsilon=0.3, steps=steps, targeted=True)(g, x, y, num_noise=4), x - 0.3 * away, **EXACT
    )


def test_steps_of_the_default_size_reach_twice_epsilon():
    g, x = linear_net(), images(2)
    y = base_labels(g, x)
    assert_close(
        PGD(epsilon=0.4, steps=8)(g, x, y),
        PGD(epsilon=0.4, steps=8, step_size=0.1)(g, x, y),
        **EXACT,
    )
    short = PGD(epsilon=0.4, steps=3, step_size=0.1)(g, x, y)
    assert_close(length(short - x), torch.full((2,), 0.3, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 9},
        {"step_size": 0.01},
        {"random_start": True},
        {"targeted": True},
        {"epsilon": 0.35},
        {"target": "smoothed"},
        {"target": "smoothed", "objective": "smoothadv"},
        {"norm": "linf"},
    ],
)
def test_each_option_changes_the_result(options):
    g, x = smooth_net(sharpness=2.0), images(3)
    y, noise = base_labels(g, x), draw(g, x, 4)
    plain = PGD(epsilon=0.3, steps=4, **({"target": "smoothed"} if "objective" in options else {}))
    changed = dataclasses.replace(plain, **options)
    assert (changed(g, x, y, noise=noise) - plain(g, x, y, noise=noise)).flatten(1).norm(
        dim=1
    ).min() > 1e-4


def test_a_random_start_is_drawn_from_the_generator_within_ball_and_box():
    g, x = smooth_net(), images(3, low=0.0, high=1.0)
    y = base_labels(g, x)
    attack = PGD(epsilon=0.5, steps=1, step_size=1e-9, random_start=True)
    first = attack(g, x, y, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, attack(g, x, y, generator=torch.Generator().manual_seed(1)))
    assert not torch.allclose(first, attack(g, x, y, generator=torch.Generator().manual_seed(2)))
    assert length(first - x).max() <= 0.5
    assert length(first - x).min() > 0.1


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([0.0, 0.1, 1.0, 5.0]),
    steps=st.integers(1, 5),
    step_size=st.sampled_from([None, 0.05, 3.0]),
    random_start=st.booleans(),
    m=st.integers(1, 3),
)
def test_the_result_lies_in_the_ball_and_in_the_box(
    seed, epsilon, steps, step_size, random_start, m
):
    g, x = smooth_net(seed=seed), images(2, low=0.0, high=1.0, seed=seed)
    attack = SmoothAdvPGD(
        epsilon=epsilon, steps=steps, step_size=step_size, random_start=random_start
    )
    x_adv = attack(g, x, base_labels(g, x), noise=draw(g, x, m, seed))
    assert length(x_adv - x).max() <= epsilon * (1 + 1e-12)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


def test_an_epsilon_of_zero_changes_nothing():
    g, x = smooth_net(), images(3)
    for make in (PGD, SmoothAdvPGD, DDN, SmoothAdvDDN):
        assert torch.equal(make(epsilon=0.0, steps=3)(g, x, base_labels(g, x), num_noise=2), x)


# Identities


@pytest.mark.parametrize(("one", "other"), [(SmoothAdvPGD, NaivePGD), (SmoothAdvDDN, NaiveDDN)])
def test_with_one_sample_smoothadv_is_naive_and_with_more_it_is_not(one, other):
    g, x = smooth_net(sharpness=2.0), images(3)
    y = base_labels(g, x)
    one, other = one(epsilon=0.9, steps=5), other(epsilon=0.9, steps=5)
    noise = draw(g, x, 4)
    assert torch.equal(one(g, x, y, noise=noise[:, :1]), other(g, x, y, noise=noise[:, :1]))
    assert not torch.allclose(one(g, x, y, noise=noise), other(g, x, y, noise=noise))


@pytest.mark.parametrize(
    ("smoothed", "base"),
    [(SmoothAdvPGD, PGD), (NaivePGD, PGD), (SmoothAdvDDN, DDN), (NaiveDDN, DDN)],
)
def test_without_sigma_the_smoothed_target_is_the_base_target(smoothed, base):
    g, x = smooth_net(sigma=0.0), images(3)
    y = base_labels(g, x)
    on_base = base(epsilon=0.9, steps=5)(g, x, y)
    assert (on_base != x).any()
    assert_close(smoothed(epsilon=0.9, steps=5)(g, x, y, num_noise=3), on_base, **EXACT)


@pytest.mark.parametrize(
    ("smoothed", "base"), [(SmoothAdvPGD, PGD), (NaivePGD, PGD), (SmoothAdvDDN, DDN)]
)
def test_attacking_the_base_at_the_noisy_point_is_smoothadv_with_one_sample(smoothed, base):
    """Variant (3), noise then perturb, equals variant (4) at m = 1 where no box binds."""
    g, x = smooth_net(), images(3)
    y, noise = base_labels(g, x), draw(g, x, 1)
    noisy = x + noise[:, 0]
    around_noisy = base(epsilon=0.9, steps=5)(g, noisy, y, bounds=None) - noisy
    around_clean = smoothed(epsilon=0.9, steps=5)(g, x, y, noise=noise, bounds=None) - x
    assert around_noisy.abs().max() > 0.01
    assert_close(around_noisy, around_clean, **EXACT)


# foolbox as the judge


def foolbox_pgd(fb, steps, step_size):
    return fb.attacks.L2PGD(steps=steps, abs_stepsize=step_size, random_start=False)


def foolbox_pgd_in_our_order(fb, steps, step_size, bounds=(0.0, 1.0)):
    """The PGD of foolbox, its documented hook changed: into the box first, then onto the ball."""

    class BoxThenBall(fb.attacks.L2PGD):
        def project(self, x, x0, epsilon):
            return super().project(x.clip(*bounds), x0, epsilon)

    return BoxThenBall(steps=steps, abs_stepsize=step_size, random_start=False)


@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_on_the_base_is_foolboxes(fb, targeted):
    g, x = smooth_net(sigma=0.0), images(4)
    y = torch.tensor([0, 1, 2, 3])
    criterion = fb.criteria.TargetedMisclassification(y) if targeted else y
    theirs = foolbox_pgd(fb, 8, 0.1)(to_foolbox(g), x, criterion, epsilons=0.4)[1]
    assert theirs.min() > 0
    assert theirs.max() < 1
    assert_close(PGD(epsilon=0.4, steps=8, targeted=targeted)(g, x, y), theirs, **EXACT)


def test_pgd_at_the_box_is_foolboxes_in_the_published_order(fb):
    g, x = smooth_net(sigma=0.0, sharpness=0.5), images(4, low=0.0, high=1.0)
    y = base_labels(g, x)
    ours = PGD(epsilon=1.5, steps=8, step_size=0.4)(g, x, y)
    theirs = foolbox_pgd_in_our_order(fb, 8, 0.4)(to_foolbox(g), x, y, epsilons=1.5)[1]
    assert_close(ours, theirs, **EXACT)
    in_their_order = foolbox_pgd(fb, 8, 0.4)(to_foolbox(g), x, y, epsilons=1.5)[1]
    assert not torch.allclose(ours, in_their_order, atol=1e-3), (
        "the box must bind for this test to say something"
    )


@pytest.mark.parametrize("m", [1, 4])
def test_foolboxes_pgd_on_log_g_is_smoothadv_pgd(fb, m):
    g, x = smooth_net(sharpness=1.5), images(4)
    y = base_labels(g, x)
    with g.frozen_noise(seed=5, num_noise=m):
        theirs = foolbox_pgd(fb, 8, 0.1)(to_foolbox(g), x, y, epsilons=0.4)[1]
    noise = draw(g, x[:1], m, seed=5).expand(len(x), -1, -1, -1, -1)  # one tensor for all images
    assert_close(SmoothAdvPGD(epsilon=0.4, steps=8)(g, x, y, noise=noise), theirs, **EXACT)
    if m > 1:
        assert not torch.allclose(
            NaivePGD(epsilon=0.4, steps=8)(g, x, y, noise=noise), theirs, atol=1e-3
        )


@pytest.mark.parametrize("name", NOISES.own_names())
def test_under_every_noise_foolboxes_pgd_on_log_g_is_ours(fb, name):
    g, x = under(NOISES.get(name)(0.2), smooth_net(sharpness=1.5)), images(4)
    y = base_labels(g, x)
    with g.frozen_noise(seed=5, num_noise=4):
        theirs = foolbox_pgd(fb, 8, 0.1)(to_foolbox(g), x, y, epsilons=0.4)[1]
    noise = draw(g, x[:1], 4, seed=5).expand(len(x), -1, -1, -1, -1)
    assert_close(SmoothAdvPGD(epsilon=0.4, steps=8)(g, x, y, noise=noise), theirs, **EXACT)


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize("make", [SmoothAdvPGD, NaivePGD])
def test_attacks_draw_from_the_noise_of_g(make, name):
    noise = NOISES.get(name)(0.2)
    g, x = under(noise, smooth_net(sharpness=2.0)), images(3)
    y, attack = base_labels(g, x), make(epsilon=0.4, steps=3)
    drawn = attack(g, x, y, num_noise=4, generator=torch.Generator().manual_seed(2))
    empty = torch.empty((3, 4, *x.shape[1:]), dtype=x.dtype)
    by_hand = noise.fill(empty, torch.Generator().manual_seed(2))
    assert torch.equal(drawn, attack(g, x, y, noise=by_hand))
    assert length(drawn - x).min() > 0.01


def under(noise, g):
    """The same base classifier under another noise."""
    return SmoothedClassifier(g.base, noise=noise, num_classes=g.num_classes).eval()


# Presets


@pytest.mark.parametrize(
    ("make", "kind", "objective"),
    [
        (SmoothAdvPGD, PGD, "smoothadv"),
        (NaivePGD, PGD, "naive"),
        (SmoothAdvDDN, DDN, "smoothadv"),
        (NaiveDDN, DDN, "naive"),
    ],
)
def test_a_preset_takes_every_other_option_of_its_attack_and_passes_it_on(make, kind, objective):
    fields = {
        f.name: f.default for f in dataclasses.fields(kind) if f.name not in ("target", "objective")
    }
    signature = inspect.signature(make).parameters
    assert {name: p.default for name, p in signature.items() if p.default is not p.empty} == {
        name: default for name, default in fields.items() if default is not dataclasses.MISSING
    }
    assert set(signature) == set(fields)
    unusual = {
        "epsilon": 0.7,
        "steps": 3,
        "targeted": True,
        "step_size": 0.2,
        "random_start": True,
        "gamma": 0.1,
        "init_norm": 0.3,
        "quantize_levels": 9,
        "fallback": "last",
        "norm": "linf",
    }
    options = {name: unusual[name] for name in fields}
    assert make(**options) == kind(target="smoothed", objective=objective, **options)
    with pytest.raises(TypeError, match="unexpected keyword argument 'alpha'"):
        make(epsilon=0.5, steps=2, alpha=0.1)


def test_bad_settings_are_refused():
    for step_size in (0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a finite step_size > 0, or None for 2"):
            PGD(epsilon=0.5, steps=2, step_size=step_size)


# The l-infinity ball


@pytest.mark.parametrize("make", [PGD, NaivePGD, SmoothAdvPGD])
@pytest.mark.parametrize("steps", [1, 7])
def test_against_two_linear_classes_linf_ends_in_the_corner_of_the_ball(make, steps):
    shape = (3, 4, 4)
    g, x = linear_net(shape), images(4, shape)
    y = base_labels(g, x)
    w = (g.base[1].weight[0] - g.base[1].weight[1]).view(1, *shape)
    away = torch.where(y.view(-1, 1, 1, 1) == 0, -1.0, 1.0) * w.sign()
    options = {"epsilon": 0.03, "steps": steps, "norm": "linf"}
    assert_close(make(**options)(g, x, y, num_noise=4), x + 0.03 * away, **EXACT)
    assert_close(make(**options, targeted=True)(g, x, y, num_noise=4), x - 0.03 * away, **EXACT)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (0.45, 0.55)])
def test_linf_pgd_on_the_base_is_foolboxes_also_at_the_box(fb, targeted, bounds):
    g, x = smooth_net(sigma=0.0), images(4, low=0.45, high=0.55)
    y = torch.tensor([0, 1, 2, 3])
    criterion = fb.criteria.TargetedMisclassification(y) if targeted else y
    judge = fb.attacks.LinfPGD(steps=8, abs_stepsize=0.02, random_start=False)
    theirs = judge(to_foolbox(g, bounds), x, criterion, epsilons=0.06)[1]
    attack = PGD(epsilon=0.06, steps=8, step_size=0.02, targeted=targeted, norm="linf")
    ours = attack(g, x, y, bounds=bounds)
    assert_close(ours, theirs, **EXACT)
    assert_close((ours - x).abs().amax(), torch.tensor(0.06, dtype=torch.float64), **EXACT)


@pytest.mark.parametrize("m", [1, 4])
def test_foolboxes_linf_pgd_on_log_g_is_smoothadv_pgd(fb, m):
    g, x = smooth_net(sharpness=1.5), images(4)
    y = base_labels(g, x)
    judge = fb.attacks.LinfPGD(steps=8, abs_stepsize=0.02, random_start=False)
    with g.frozen_noise(seed=5, num_noise=m):
        theirs = judge(to_foolbox(g), x, y, epsilons=0.06)[1]
    noise = draw(g, x[:1], m, seed=5).expand(len(x), -1, -1, -1, -1)
    attack = SmoothAdvPGD(epsilon=0.06, steps=8, step_size=0.02, norm="linf")
    assert_close(attack(g, x, y, noise=noise), theirs, **EXACT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linf_pixels_stay_between_x_minus_and_x_plus_epsilon_to_the_last_bit(dtype):
    g, x = smooth_net(sharpness=2.0), images(8, low=0.0, high=1.0)
    g, x = SmoothedClassifier(g.base.to(dtype), 0.2, g.num_classes).eval(), x.to(dtype)
    y, epsilon = base_labels(g, x), 2 / 255
    attack = SmoothAdvPGD(epsilon=epsilon, steps=5, random_start=True, norm="linf")
    x_adv = attack(g, x, y, num_noise=2, generator=torch.Generator().manual_seed(0))
    assert (x_adv <= (x + epsilon).clamp(max=1)).all()
    assert (x_adv >= (x - epsilon).clamp(min=0)).all()
    assert ((x_adv - x).abs() > 0.99 * epsilon).float().mean() > 0.5


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match="expected norm 'l2' or 'linf', got 'l1'"):
        PGD(epsilon=0.5, steps=2, norm="l1")
