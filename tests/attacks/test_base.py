"""What every attack owes: noise, modes, the type of x, and an answer within epsilon."""

import dataclasses
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    PGD,
    Attack,
    GradientAttack,
    SmoothAdvDDN,
    SmoothAdvPGD,
)
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import base_labels, draw, images, length, probe, smooth_net

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


NAN = float("nan")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"g": nn.Flatten()}, "expected a SmoothedClassifier, got Flatten; wrap a base classifier"),
        ({"x": images(4).numpy()}, r"expected images \(B, C, H, W\) as a torch.Tensor, got numpy"),
        ({"num_noise": 1.5}, "expected an integer num_noise, got 1.5; give it e.g. as 16"),
        ({"num_noise": True}, "expected an integer num_noise, got True"),
        ({"noise": 5}, r"expected noise \(B, m, C, H, W\) as a torch.Tensor, got builtins.int"),
        ({"noise": torch.full((4, 2, 1, 1, 7), NAN)}, "expected finite noise, got NaN"),
        ({"bounds": 5}, r"expected bounds \(low, high\) with low < high, .* got 5"),
        ({"bounds": (0.5, 0.5)}, r"expected bounds \(low, high\) with low < high"),
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
    assert not inside.is_inference(), "it may be attacked or trained on"


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


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("epsilon", [0.0, 1 / 255, 8 / 255, 0.1, 0.5, 1e6])
def test_the_answer_is_within_epsilon_as_users_check_it(epsilon, norm, kind):
    g = smooth_net(shape=(3, 8, 8), sharpness=2.0)
    g, x = SmoothedClassifier(g.base.to(kind), 0.2, 5), images(8, (3, 8, 8), low=0.0, high=1.0)
    x, y = x.to(kind), torch.zeros(8, dtype=torch.int64)
    attack = PGD(epsilon=epsilon, steps=3, norm=norm, random_start=True)
    found = attack.measured(g, x, y, generator=torch.Generator().manual_seed(0))
    order = 2 if norm == "l2" else float("inf")
    for delta in (found.x_adv - x, found.x_adv.double() - x.double()):
        assert max(delta.flatten(1).norm(p=order, dim=1).tolist()) <= epsilon
    assert max(found.length.tolist()) <= epsilon
    assert max(found.length.tolist()) >= min(0.9999 * epsilon, 0.5)
    assert found.x_adv.min() >= 0
    assert found.x_adv.max() <= 1
