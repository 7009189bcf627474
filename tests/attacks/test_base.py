"""What every attack owes: checks, noise, modes, NaN, and the gradient of the objective."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    Attack,
    FoolboxAttack,
    GradientAttack,
    SmoothAdvDDN,
    SmoothAdvPGD,
)
from rsmooth.attacks.base import majority_vote
from rsmooth.objectives import naive
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Flat, Hole, base_labels, draw, images, length, smooth_net


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(GradientAttack):
    """Evaluates the image itself, hands the evaluation out, and perturbs nothing."""

    seen: list = dataclasses.field(default_factory=list)
    steps: int = 1

    def _search(self, evaluate, problem):
        self.seen.append(evaluate(problem.x))
        return torch.zeros_like(problem.x)


def probe(g, x, y, **options):
    call = {key: options.pop(key) for key in ("noise", "num_noise", "generator") if key in options}
    attack = Probe(epsilon=1.0, **options)
    attack(g, x, y, **call)
    return attack.seen[0]


# The evaluation against the formulas


@pytest.mark.parametrize("batch", [1, 3])
def test_the_smoothadv_gradient_is_the_weighted_sum_of_the_paper(batch):
    """Gradient = sum_i w_i grad(-log F_i) with w_i = F_i / sum_j F_j, sample by sample."""
    g, x = smooth_net(sharpness=2.0), images(batch)
    y, noise = base_labels(g, x), draw(g, x, 4)
    seen = probe(g, x, y, target="smoothed", objective="smoothadv", noise=noise)
    for i in range(batch):
        probabilities, gradients = [], []
        for sample in noise[i]:
            point = (x[i] + sample).requires_grad_()
            probability = g.base(point[None]).softmax(dim=1)[0, y[i]]
            gradients.append(-torch.autograd.grad(probability, point)[0] / probability.detach())
            probabilities.append(probability.detach())
        total = sum(probabilities)
        expected = sum(
            p / total * gradient for p, gradient in zip(probabilities, gradients, strict=True)
        )
        assert_close(seen.gradient[i], expected)
        assert_close(seen.loss[i], -(total / 4).log())
        mean = sum(gradients) / 4
        assert (mean - expected).norm() > 0.05 * expected.norm(), "the weights must matter here"
        assert_close(
            probe(g, x, y, target="smoothed", objective="naive", noise=noise).gradient[i], mean
        )


def test_the_gradient_agrees_with_finite_differences():
    g, x = smooth_net(shape=(1, 2, 2)), images(2, (1, 2, 2))
    y, noise = base_labels(g, x), draw(g, x, 3)
    seen = probe(g, x, y, target="smoothed", objective="smoothadv", noise=noise)
    for pixel in range(4):
        step = torch.zeros(1, 1, 2, 2, dtype=torch.float64)
        step.view(-1)[pixel] = 1e-6
        up = probe(g, x + step, y, target="smoothed", objective="smoothadv", noise=noise).loss
        down = probe(g, x - step, y, target="smoothed", objective="smoothadv", noise=noise).loss
        assert_close(seen.gradient.view(2, 4)[:, pixel], (up - down) / 2e-6, atol=1e-7, rtol=1e-6)


def test_a_targeted_attack_climbs_minus_the_objective():
    g, x = smooth_net(), images(3)
    y = torch.tensor([0, 1, 2])
    there, away = probe(g, x, y, targeted=True), probe(g, x, y)
    assert torch.equal(there.loss, -away.loss)
    assert torch.equal(there.gradient, -away.gradient)


def test_the_base_target_sees_no_noise_whatever_is_handed_over():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    seen = probe(g, x, y, noise=draw(g, x, 4))
    assert seen.log_probs.shape == (3, 1, 5)
    assert_close(seen.log_probs[:, 0], g.base(x).log_softmax(dim=1).detach())
    assert torch.equal(
        PGD(epsilon=0.3, steps=3)(g, x, y, noise=draw(g, x, 4)), PGD(epsilon=0.3, steps=3)(g, x, y)
    )


def test_an_objective_may_be_any_function():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    by_name = PGD(epsilon=0.3, steps=3, objective="naive")(g, x, y)
    assert torch.equal(PGD(epsilon=0.3, steps=3, objective=naive)(g, x, y), by_name)
    margin = PGD(epsilon=0.3, steps=3, objective=lambda log_probs, y: log_probs[:, 0].amax(dim=1))(
        g, x, y
    )
    assert not torch.allclose(margin, by_name)


def test_votes_and_ties():
    log_probs = torch.nn.functional.one_hot(
        torch.tensor([[2, 1, 1], [2, 2, 0], [2, 1, 0]]), 3
    ).double()
    assert majority_vote(log_probs).tolist() == [1, 2, 0]


# Noise


def test_noise_is_drawn_once_from_the_generator_or_taken_as_given():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    attack = SmoothAdvPGD(epsilon=0.3, steps=4)
    drawn = attack(g, x, y, num_noise=4, generator=torch.Generator().manual_seed(2))
    assert torch.equal(drawn, attack(g, x, y, noise=draw(g, x, 4, seed=2)))
    assert not torch.allclose(
        drawn, attack(g, x, y, num_noise=4, generator=torch.Generator().manual_seed(3))
    )
    assert not torch.allclose(
        drawn, attack(g, x, y, num_noise=2, generator=torch.Generator().manual_seed(2))
    )
    torch.manual_seed(7)
    first = attack(g, x, y, num_noise=4)
    torch.manual_seed(7)
    assert torch.equal(first, attack(g, x, y, num_noise=4))


@pytest.mark.parametrize(
    ("noise_shape", "num_noise", "message"),
    [
        (
            (3, 4, 3, 4, 5),
            1,
            r"expected noise \(B, m, C, H, W\) for images \(3, 3, 4, 4\), got \(3, 4, 3, 4, 5\)",
        ),
        ((2, 4, 3, 4, 4), 1, r"expected noise .* got \(2, 4, 3, 4, 4\)"),
        ((3, 3, 4, 4), 1, r"expected noise .* got \(3, 3, 4, 4\)"),
        ((3, 0, 3, 4, 4), 1, r"expected noise .* got \(3, 0, 3, 4, 4\)"),
        (
            (3, 4, 3, 4, 4),
            8,
            "expected num_noise to agree with the given noise, got num_noise=8 and 4 samples",
        ),
        (None, 0, "expected num_noise >= 1, got 0"),
    ],
)
@pytest.mark.parametrize("validate", [True, False])
def test_noise_of_a_wrong_shape_is_refused(noise_shape, num_noise, message, validate):
    g, x = smooth_net(), images(3)
    noise = None if noise_shape is None else torch.zeros(noise_shape, dtype=torch.float64)
    with pytest.raises(ValueError, match=message):
        SmoothAdvPGD(epsilon=0.3, steps=1)(
            g, x, base_labels(g, x), noise=noise, num_noise=num_noise, validate=validate
        )


# Input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x + 1, y), r"expected images in \[0, 1\], got values from 1.4"),
        (lambda x, y: (x * torch.nan, y), "expected images"),
        (lambda x, y: ((x * 255).byte(), y), "expected floating-point images"),
        (lambda x, y: (x[0], y), "expected floating-point images"),
        (lambda x, y: (x, y + 5), r"expected labels within 0..4, got 5"),
        (lambda x, y: (x, y[:2]), "expected 3 integer labels"),
        (lambda x, y: (x, y.double()), "expected 3 integer labels"),
    ],
)
def test_bad_input_is_refused(change, message):
    g, x = smooth_net(), images(3)
    x_bad, y_bad = change(x, torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=message):
        PGD(epsilon=0.3, steps=1)(g, x_bad, y_bad)


def test_without_validation_bad_input_is_not_caught():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    attack = PGD(epsilon=0.3, steps=1)
    assert torch.equal(attack(g, x, y, validate=False), attack(g, x, y))
    assert attack(g, x + 1, y, validate=False).shape == x.shape


def test_without_bounds_the_box_is_off_but_numbers_must_be_finite():
    g, x = smooth_net(), images(3, low=-0.5, high=1.5)
    y = base_labels(g, x)
    attack = PGD(epsilon=2.0, steps=3)
    x_adv = attack(g, x, y, bounds=None)
    assert_close(length(x_adv - x), torch.full((3,), 2.0, dtype=torch.float64))
    assert x_adv.min() < -0.5
    with pytest.raises(ValueError, match="expected images"):
        attack(g, x, y)
    with pytest.raises(ValueError, match="expected images"):
        attack(g, x.index_fill(3, torch.tensor(1), torch.inf), y, bounds=None)
    assert_close(attack(g, x, y, bounds=(-4.0, 4.0)), x_adv)
    boxed = attack(g, x, y, bounds=(-0.5, 1.5))
    assert -0.5 <= boxed.min() < 0
    assert 1 < boxed.max() <= 1.5
    with pytest.raises(ValueError, match=r"expected bounds \(low, high\) with low < high"):
        attack(g, x, y, bounds=(1.0, 0.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": -0.1}, "expected a finite epsilon >= 0"),
        ({"epsilon": float("nan")}, "expected a finite epsilon >= 0"),
        ({"target": "f"}, "expected target 'base' or 'smoothed', got 'f'"),
        ({"steps": 0}, "expected whole steps >= 1, got 0"),
        ({"steps": 2.5}, "expected steps to be an integer, got 2.5"),
        ({"steps": True}, "expected steps to be an integer, got True"),
        ({"epsilon": "0.5"}, "expected epsilon to be a number, got '0.5'"),
        ({"targeted": "no"}, "expected targeted to be true or false, got 'no'"),
        ({"objective": 3}, "expected the name of an objective, or a function of"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        PGD(**{"epsilon": 0.5, "steps": 2, **options})


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"g": nn.Flatten()}, "expected a SmoothedClassifier, got Flatten; wrap a base classifier"),
        ({"x": images(4).numpy()}, r"expected images \(B, C, H, W\) as a torch.Tensor, got numpy"),
        ({"num_noise": 1.5}, "expected an integer num_noise, got 1.5"),
        ({"num_noise": True}, "expected an integer num_noise, got True"),
        ({"noise": 5}, r"expected noise \(B, m, C, H, W\) as a torch.Tensor, got builtins.int"),
        ({"noise": torch.full((4, 2, 1, 1, 7), NAN)}, "expected finite noise, got NaN"),
        ({"bounds": 5}, r"expected bounds \(low, high\) with low < high, .* got 5"),
        ({"bounds": (0.0,)}, r"expected bounds \(low, high\) with low < high"),
        ({"bounds": (0.0, 1.0, 2.0)}, r"expected bounds \(low, high\) with low < high"),
        ({"bounds": ("a", "b")}, r"expected bounds \(low, high\) with low < high"),
    ],
)
def test_a_bad_call_is_refused(call, message):
    g, x = smooth_net((1, 1, 7)), images(4, (1, 1, 7), low=0.0, high=1.0)
    arguments = {"g": g, "x": x, "y": base_labels(g, x), **call}
    with pytest.raises((ValueError, TypeError), match=message):
        SmoothAdvPGD(epsilon=0.5, steps=2)(**arguments)


def test_labels_of_any_integer_type_are_the_same_labels():
    g, x = smooth_net(), images(4)
    y, attack = base_labels(g, x), PGD(epsilon=0.5, steps=2)
    for kind in (torch.uint8, torch.int32):
        assert torch.equal(attack(g, x, y.to(kind), bounds=None), attack(g, x, y, bounds=None))


def test_an_unknown_objective_is_refused_when_the_attack_is_made():
    with pytest.raises(
        LookupError,
        match="expected a registered objective, got 'smothadv'; did you mean 'smoothadv'",
    ):
        PGD(epsilon=0.5, steps=2, objective="smothadv")


def test_attacks_are_values():
    attack = SmoothAdvPGD(epsilon=0.5, steps=2)
    assert attack == PGD(epsilon=0.5, steps=2, target="smoothed", objective="smoothadv")
    assert hash(attack) == hash(SmoothAdvPGD(epsilon=0.5, steps=2))
    assert dataclasses.replace(attack, epsilon=0.25).epsilon == 0.25
    assert "target='smoothed', " in repr(attack)
    assert "objective='smoothadv'" in repr(attack)
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.epsilon = 1.0
    with pytest.raises(TypeError, match="abstract"):
        GradientAttack(epsilon=0.5, steps=1)


# Batches, types, contexts


@pytest.mark.parametrize(
    "attack", [SmoothAdvPGD(epsilon=0.3, steps=3), SmoothAdvDDN(epsilon=0.9, steps=6)]
)
@pytest.mark.parametrize("shape", [(1, 1, 7), (3, 4, 4), (2, 5, 3)])
def test_an_image_is_attacked_alike_in_every_batch(attack, shape):
    g, x = smooth_net(shape), images(8, shape)
    y, noise = base_labels(g, x), draw(g, x, 3)
    whole = attack(g, x, y, noise=noise)
    assert (whole != x).flatten(1).any(dim=1).sum() > 0
    for size in (1, 3):
        parts = [
            attack(g, x[i : i + size], y[i : i + size], noise=noise[i : i + size])
            for i in range(0, 8, size)
        ]
        assert_close(torch.cat(parts), whole)
    assert attack(g, x[:0], y[:0], noise=noise[:0]).shape == (0, *shape)
    assert attack(g, x[:0], y[:0]).shape == (0, *shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_result_is_detached_with_the_type_of_x(dtype):
    g = smooth_net()
    g.base.to(dtype)
    x = images(2).to(dtype).requires_grad_()
    before = x.detach().clone()
    x_adv = SmoothAdvPGD(epsilon=0.3, steps=2)(g, x, torch.tensor([0, 1]), num_noise=2)
    assert x_adv.dtype == dtype
    assert not x_adv.requires_grad
    assert torch.equal(x, before)
    assert x.grad is None


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_attacks_run_where_gradients_are_off(context):
    g, x = smooth_net(), images(2)
    y = base_labels(g, x)
    expected = SmoothAdvPGD(epsilon=0.3, steps=2)(g, x, y, noise=draw(g, x, 2))
    with context():
        inside = SmoothAdvPGD(epsilon=0.3, steps=2)(g, x.clone(), y.clone(), noise=draw(g, x, 2))
    assert torch.equal(inside, expected)


def test_attacks_run_under_autocast():
    g, x = smooth_net(), images(4).float()
    g.base.float()
    y, noise = base_labels(g, x), draw(g, x, 2)
    exact = SmoothAdvPGD(epsilon=0.3, steps=3)(g, x, y, noise=noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen = probe(g, x, y, target="smoothed", objective="smoothadv", noise=noise)
        rough = SmoothAdvPGD(epsilon=0.3, steps=3)(g, x, y, noise=noise)
    assert seen.loss.dtype == seen.gradient.dtype == rough.dtype == torch.float32
    assert not torch.equal(rough, exact)
    assert_close(rough, exact, atol=0.05, rtol=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TooFar(GradientAttack):
    """Goes ``times`` epsilon along the first pixel."""

    times: float

    def _search(self, evaluate, problem):
        delta = torch.zeros_like(problem.x)
        delta[:, 0, 0, 0] = self.times * self.epsilon
        return delta


class TooFarInEachPixel(TooFar):
    norm = "linf"


@pytest.mark.parametrize(("kind", "norm"), [(TooFar, "l2"), (TooFarInEachPixel, "linf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_attack_that_leaves_its_ball_is_refused(kind, norm, dtype):
    g, x = smooth_net(), images(3)
    g, x = SmoothedClassifier(g.base.to(dtype), 0.2, 5), x.to(dtype)
    y = base_labels(g, x)
    kind(epsilon=0.01, times=1.0)(g, x, y)
    with pytest.raises(ValueError, match=f"expected perturbations of {norm} norm up to epsilon=0"):
        kind(epsilon=0.01, times=1.01)(g, x, y)


# NaN, zero gradients, no gradients


@pytest.mark.parametrize(
    "attack", [PGD(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=2), DDN(epsilon=0.3, steps=1)]
)
def test_nan_logits_yield_no_number(attack):
    g, x = SmoothedClassifier(Hole(), 0.2, 2), images(3)
    x[:, 0, 0, 0] = torch.tensor([0.4, 0.9, 0.4])
    y = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(
        ValueError, match=r"expected finite logits .* for images \[1\] .* \(1 of 3\)"
    ):
        attack(g, x, y)
    unchecked = attack(g, x, y, validate=False)
    assert unchecked.isnan().flatten(1).all(dim=1).tolist() == [False, True, False]
    assert unchecked[[0, 2]].isfinite().all()


@pytest.mark.parametrize("attack", [PGD(epsilon=0.1, steps=1), DDN(epsilon=0.1, steps=1)])
def test_a_gradient_that_is_not_finite_yields_no_number(attack):
    class Root(nn.Module):
        def forward(self, x):
            return (
                (x.flatten(1)[:, :2] - 0.25) ** 2
            ).sqrt()  # the chain rule gives 0 * infinity at 0

    g, x = SmoothedClassifier(Root(), 0.0, 2), torch.full((2, 1, 1, 3), 0.25, dtype=torch.float64)
    x[1] = 0.5
    with pytest.raises(ValueError, match=r"images \[0\] of the batch"):
        attack(g, x, torch.zeros(2, dtype=torch.int64))


def test_masked_classes_are_no_nan():
    class Masked(nn.Module):
        def forward(self, x):
            return torch.cat(
                [x.flatten(1)[:, :2], torch.full((len(x), 1), -torch.inf, dtype=x.dtype)], dim=1
            )

    g, x = SmoothedClassifier(Masked(), 0.1, 3), images(2)
    assert_close(
        length(
            SmoothAdvPGD(epsilon=0.1, steps=2)(g, x, torch.zeros(2, dtype=torch.int64), num_noise=2)
            - x
        ),
        torch.full((2,), 0.1, dtype=torch.float64),
    )


@pytest.mark.parametrize(
    "attack",
    [
        PGD(epsilon=0.3, steps=3),
        SmoothAdvPGD(epsilon=0.3, steps=3),
        DDN(epsilon=0.3, steps=3, fallback="last"),
    ],
)
def test_a_zero_gradient_is_replaced_by_the_same_random_direction(attack):
    g, x = SmoothedClassifier(Flat(), 0.2, 3), images(3)
    y = torch.zeros(3, dtype=torch.int64)
    with pytest.warns(UserWarning, match="the gradient was zero at every step for 3 of 3 images"):
        x_adv = attack(g, x, y)
    assert_close(length(x_adv - x), torch.full((3,), 0.3, dtype=torch.float64))
    assert torch.equal(x_adv, attack(g, x, y, validate=False))
    assert torch.equal(x_adv[1:2], attack(g, x[1:2], y[:1], validate=False))


class Rounding(nn.Module):
    """A linear network, and the same with its input rounded to 8 bits: one function on images."""

    def __init__(self, base, rounds):
        super().__init__()
        self.base = base
        self.rounds = rounds

    def forward(self, x):
        return self.base((x * 255).round() / 255 if self.rounds else x)


@pytest.mark.parametrize(
    "attack",
    [
        PGD(epsilon=0.3, steps=3),
        SmoothAdvPGD(epsilon=0.3, steps=3),
        DDN(epsilon=0.3, steps=3),
        FoolboxAttack(epsilon=0.3, attack="L2PGD", options={"steps": 3}, target="smoothed"),
    ],
)
def test_an_attack_that_no_gradient_leads_says_so(attack):
    g, x = smooth_net(), images(4)
    y = g.log_probs(x[:, None] + draw(g, x, 4)).logsumexp(dim=1).argmax(dim=1)
    noise = draw(g, x, 4)
    found = attack.measured(g, x, y, noise=noise)
    assert not found.without_gradient.any()
    g.base = Rounding(g.base, rounds=True)
    found = attack.measured(g, x, y, noise=noise)
    votes = g.log_probs(x[:, None] + (0 if attack.target == "base" else noise))
    still = (votes.logsumexp(dim=1).argmax(dim=1) == y) & (majority_vote(votes) == y)
    assert still.any()
    assert torch.equal(found.without_gradient, still)
    with pytest.warns(UserWarning, match=f"zero at every step for {int(still.sum())} of 4 images"):
        attack(g, x, y, noise=noise)


def test_where_nothing_may_move_no_gradient_is_missed():
    g, x = SmoothedClassifier(Flat(), 0.2, 3), images(3)
    found = PGD(epsilon=0.0, steps=1).measured(g, x, torch.zeros(3, dtype=torch.int64))
    assert not found.without_gradient.any()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift(Attack):
    """Moves every pixel by one amount, whatever epsilon is."""

    norm: ClassVar[str] = "linf"
    by: float = 0.1

    def _perturb(self, victim, problem):
        return problem.x + self.by


def test_an_attack_that_leaves_epsilon_is_refused_by_its_measure():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    found = Shift(epsilon=0.1).measured(g, x, y)
    assert_close(found.length, torch.full((3,), 0.1, dtype=torch.float64))
    for validate in (True, False):
        with pytest.raises(
            ValueError,
            match=r"expected perturbations of linf norm up to epsilon=0\.05, got one of 0\.1 ",
        ):
            Shift(epsilon=0.05)(g, x, y, validate=validate)
    with pytest.raises(ValueError, match=r"of l2 norm up to epsilon=0\.1, got one of 0\.69"):
        type("L2", (Shift,), {"norm": "l2"})(epsilon=0.1)(g, x, y)
    with pytest.raises(ValueError, match="expected the name of a norm such as l1"):
        type("Odd", (Shift,), {"norm": "cosine"})(epsilon=0.1)


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_rounding_of_a_format_is_no_larger_perturbation(kind):
    g, x = smooth_net(shape=(3, 8, 8)), images(8, (3, 8, 8), low=0.0, high=1.0).to(kind)
    g.base.float()
    y = torch.zeros(8, dtype=torch.int64)
    for epsilon in (1e-3, 0.5, 4.0):
        if kind == torch.float32:
            PGD(epsilon=epsilon, steps=3)(g, x, y)
        Shift(epsilon=epsilon / 10, by=epsilon / 10)(g, x, y, bounds=None)


def test_a_base_without_gradient_is_refused():
    class Hard(nn.Module):
        def forward(self, x):
            return nn.functional.one_hot(x.flatten(1)[:, :3].argmax(dim=1), 3).double()

    with pytest.raises(
        ValueError, match="expected a base classifier that is differentiable in its input"
    ):
        PGD(epsilon=0.3, steps=1)(
            SmoothedClassifier(Hard(), 0.2, 3), images(2), torch.zeros(2, dtype=torch.int64)
        )
