"""DDN: the distance to a linear boundary, foolbox's DDN, and a plain implementation under noise."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from rsmooth.attacks import DDN, NaiveDDN, SmoothAdvDDN, majority_vote, to_foolbox
from rsmooth.objectives import naive, smoothadv
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Flat, base_labels, draw, images, length, linear_net, smooth_net

EXACT = {"atol": 1e-10, "rtol": 0}


def true_distance(g, x, y):
    """The distance to the nearest linear boundary: min over j of the margin / |w_y - w_j|."""
    with torch.no_grad():
        logits, weight = g.base(x), g.base[1].weight
        gap = logits.gather(1, y[:, None]) - logits
        steepness = (weight[y][:, None] - weight[None]).norm(dim=2)
    return torch.where(steepness > 0, gap / steepness, math.inf).amin(dim=1)


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("shape", [(1, 1, 6), (3, 4, 4), (1, 5, 7)])
@pytest.mark.parametrize("bounds", [(0.0, 1.0), None])
def test_it_finds_the_distance_to_a_linear_boundary_up_to_one_step_of_gamma(batch, shape, bounds):
    g, x = linear_net(shape), images(batch, shape)
    y = base_labels(g, x)
    x_adv = DDN(epsilon=1.0, steps=100, init_norm=0.2)(g, x, y, bounds=bounds)
    assert (base_labels(g, x_adv) != y).all()
    ratio = length(x_adv - x) / true_distance(g, x, y)
    assert ratio.min() >= 1 - 1e-9
    assert ratio.max() <= 1 / 0.95 + 1e-9


def test_it_comes_close_to_the_nearest_of_several_boundaries():
    g, x = linear_net(classes=3), images(8)
    y = base_labels(g, x)
    ratio = length(DDN(epsilon=1.0, steps=150, init_norm=0.2)(g, x, y) - x) / true_distance(g, x, y)
    assert ratio.min() >= 1 - 1e-9
    assert ratio.max() <= 1.25


@pytest.mark.parametrize(
    ("init_norm", "gamma"), [(None, 0.05), (0.3, 0.05), (1.0, 0.2), (50.0, 0.3)]
)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("spread", [0.1, 0.5])
def test_ddn_on_the_base_is_foolboxes(fb, init_norm, gamma, targeted, spread):
    g, x = smooth_net(sigma=0.0), images(6, low=0.5 - spread, high=0.5 + spread)
    y = base_labels(g, x)
    y[0] = (y[0] + 1) % 5  # one image that is misclassified already
    if targeted:
        y = (y + 1) % 5
    criterion = fb.criteria.TargetedMisclassification(y) if targeted else y
    attack = fb.attacks.DDNAttack(init_epsilon=init_norm or 0.6, steps=20, gamma=gamma)
    theirs = attack(to_foolbox(g), x, criterion, epsilons=0.6)[1]
    assert (theirs != x).flatten(1).any(dim=1).sum() >= 2
    ours = DDN(epsilon=0.6, steps=20, init_norm=init_norm, gamma=gamma, targeted=targeted)(g, x, y)
    assert_close(ours, theirs, atol=1e-6, rtol=0)  # foolbox takes gamma in float32


def plain_ddn(g, x, y, noise, loss_of, *, epsilon, steps, gamma=0.05, init_norm=None, levels=None):
    """DDN for one image x (C, H, W) with noise (m, C, H, W), step by step as in the papers."""
    worst = torch.maximum(x, 1 - x).norm()
    nu = epsilon if init_norm is None else init_norm
    delta, best = torch.zeros_like(x), None
    for i in range(steps):
        point = (x + delta).requires_grad_()
        log_probs = g.base(point[None] + noise).log_softmax(dim=1)
        (gradient,) = torch.autograd.grad(loss_of(log_probs[None], y[None])[0], point)
        ballots = log_probs.argmax(dim=1).tolist()
        winner = min(set(ballots), key=lambda c: (-ballots.count(c), c))
        fooled = winner != int(y)
        if fooled and (best is None or delta.norm() <= best.norm()):
            best = delta
        rate = 0.01 + 0.99 / 2 * (1 + math.cos(math.pi * i / steps))
        nu = min(nu * (1 - gamma if fooled else 1 + gamma), worst)
        delta = delta + rate * gradient / gradient.norm()
        delta = delta * nu / delta.norm()
        if levels is not None:
            delta = ((x + delta) * (levels - 1)).round() / (levels - 1) - x
        delta = (x + delta).clamp(0, 1) - x
    if best is None:
        return x
    return x + best * min(1.0, epsilon / max(float(best.norm()), 1e-12))


@pytest.mark.parametrize(("make", "loss_of"), [(SmoothAdvDDN, smoothadv), (NaiveDDN, naive)])
@pytest.mark.parametrize("options", [{}, {"init_norm": 0.4, "gamma": 0.2}])
@pytest.mark.parametrize("m", [1, 2, 5])
def test_ddn_under_noise_agrees_with_a_plain_implementation(make, loss_of, options, m):
    g, x = smooth_net(sharpness=1.5, sigma=0.3), images(6, low=0.0, high=1.0)
    noise = draw(g, x, m)
    y = majority_vote(g.log_probs(x[:, None] + noise).detach())
    y[0] = (y[0] + 1) % 5  # one image that is misclassified already
    ours = make(epsilon=1.5, steps=12, **options)(g, x, y, noise=noise)
    assert (ours != x).flatten(1).any(dim=1).sum() >= 2
    for i in range(len(x)):
        theirs = plain_ddn(g, x[i], y[i], noise[i], loss_of, epsilon=1.5, steps=12, **options)
        assert_close(ours[i], theirs, **EXACT)


def test_quantised_iterates_agree_with_a_plain_implementation():
    """The found norms stay below epsilon, so that projecting and rounding again change nothing."""
    g, x = smooth_net(sharpness=1.5, sigma=0.3), images(6, low=0.0, high=1.0).mul(255).round() / 255
    y, noise = base_labels(g, x), draw(g, x, 3)
    ours = SmoothAdvDDN(epsilon=2.0, steps=12, init_norm=0.6, quantize_levels=256)(
        g, x, y, noise=noise
    )
    assert (ours != x).flatten(1).any(dim=1).sum() >= 2
    assert torch.equal((ours * 255).round() / 255, ours)
    for i in range(len(x)):
        theirs = plain_ddn(
            g, x[i], y[i], noise[i], smoothadv, epsilon=2.0, init_norm=0.6, steps=12, levels=256
        )
        assert_close(ours[i], theirs, **EXACT)


def test_what_it_finds_within_epsilon_wins_the_majority_of_the_same_noise():
    g, x = smooth_net(sharpness=1.5), images(8)
    noise = draw(g, x, 5)
    y = majority_vote(g.log_probs(x[:, None] + noise).detach())
    x_adv = SmoothAdvDDN(epsilon=2.0, steps=30, init_norm=0.5)(g, x, y, noise=noise)
    found = (x_adv != x).flatten(1).any(dim=1)
    assert found.sum() >= 6
    assert (majority_vote(g.log_probs(x_adv[:, None] + noise).detach()) != y)[found].all()
    assert length(x_adv - x).max() < 1.9, "the smallest perturbation, not the largest allowed"


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 13},
        {"gamma": 0.1},
        {"init_norm": 0.8},
        {"quantize_levels": 256},
        {"targeted": True},
        {"target": "smoothed"},
        {"epsilon": 0.1},
        {"target": "smoothed", "objective": "smoothadv"},
    ],
)
def test_each_option_changes_the_result(options):
    g, x = smooth_net(sharpness=2.0), images(4)
    y, noise = base_labels(g, x), draw(g, x, 4)
    plain = DDN(epsilon=0.9, steps=12, **({"target": "smoothed"} if "objective" in options else {}))
    changed = dataclasses.replace(plain, **options)
    assert (changed(g, x, y, noise=noise) - plain(g, x, y, noise=noise)).abs().max() > 1e-4


def test_images_for_which_nothing_is_found_are_left_clean_or_get_the_last_iterate():
    g, x = linear_net(), images(4)
    y = base_labels(g, x)
    # Out of reach for the class of the first image.
    g.base[1].bias.data[0] += torch.where(y[0] == 0, 10.0, -10.0)
    y = base_labels(g, x)
    clean, last = DDN(epsilon=0.3, steps=5), DDN(epsilon=0.3, steps=5, fallback="last")
    assert torch.equal(clean(g, x, y), x)
    assert_close(length(last(g, x, y) - x), torch.full((4,), 0.3, dtype=torch.float64), **EXACT)
    assert (g.base(last(g, x, y)).log_softmax(1) < g.base(x).log_softmax(1))[
        torch.arange(4), y
    ].all()


@pytest.mark.parametrize("fallback", ["clean", "last"])
def test_an_image_that_is_misclassified_already_comes_back_unchanged(fallback):
    g, x = smooth_net(sigma=0.0), images(4)
    assert torch.equal(
        DDN(epsilon=0.3, steps=5, fallback=fallback)(g, x, (base_labels(g, x) + 1) % 5), x
    )


def test_the_image_itself_is_judged_but_the_last_iterate_is_not():
    g, x = linear_net(), images(4)
    y = base_labels(g, x)
    assert torch.equal(DDN(epsilon=5.0, steps=1)(g, x, y), x)
    assert (base_labels(g, DDN(epsilon=2.0, steps=2)(g, x, y)) != y).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 999),
    epsilon=st.sampled_from([0.05, 0.3, 1.0]),
    steps=st.integers(1, 6),
    levels=st.sampled_from([None, 2, 16, 256]),
    fallback=st.sampled_from(["clean", "last"]),
    init_norm=st.sampled_from([None, 0.1, 3.0]),
    on_grid=st.booleans(),
)
def test_the_result_lies_in_ball_and_box_and_on_the_grid(
    seed, epsilon, steps, levels, fallback, init_norm, on_grid
):
    g, x = smooth_net(seed=seed), images(2, low=0.0, high=1.0, seed=seed)
    if on_grid and levels is not None:
        x = (x * (levels - 1)).round() / (levels - 1)
    attack = SmoothAdvDDN(
        epsilon=epsilon, steps=steps, init_norm=init_norm, quantize_levels=levels, fallback=fallback
    )
    x_adv = attack(g, x, base_labels(g, x), noise=draw(g, x, 2, seed))
    assert length(x_adv - x).max() <= epsilon * (1 + 1e-12)
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    if on_grid and levels is not None:
        assert_close((x_adv * (levels - 1)).round() / (levels - 1), x_adv, **EXACT)


def test_a_flat_classifier_is_no_division_by_zero():
    g, x = SmoothedClassifier(Flat(), 0.0, 3), images(2)
    y = torch.zeros(2, dtype=torch.int64)
    with pytest.warns(UserWarning, match="the gradient was zero at every step for 2 of 2 images"):
        assert torch.equal(DDN(epsilon=0.3, steps=4)(g, x, y), x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gamma": 0.0}, r"expected gamma in \(0, 1\), got 0.0"),
        ({"gamma": 1.0}, r"expected gamma in \(0, 1\)"),
        ({"init_norm": 0.0}, "expected a finite init_norm > 0, or None for epsilon"),
        ({"quantize_levels": 1}, "expected quantize_levels >= 2, or None"),
        ({"fallback": "best"}, "expected fallback 'clean' or 'last', got 'best'"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DDN(epsilon=0.5, steps=2, **options)


def test_grey_levels_need_a_box():
    g, x = smooth_net(), images(2)
    attack = DDN(epsilon=0.5, steps=2, quantize_levels=256)
    with pytest.raises(ValueError, match=r"expected finite bounds where .*, got \(0, inf\)"):
        attack(g, x, base_labels(g, x), bounds=(0, math.inf))
    with pytest.raises(ValueError, match=r"expected finite bounds where .* is set, got None"):
        attack(g, x, base_labels(g, x), bounds=None)
