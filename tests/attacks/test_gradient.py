"""Attacks follow the gradient that the paper states, image by image."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import (
    DDN,
    PGD,
    SmoothAdvPGD,
)
from rsmooth.objectives import naive
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Flat, base_labels, draw, images, length, probe, smooth_net


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


def test_an_objective_may_be_any_function():
    g, x = smooth_net(), images(3)
    y = base_labels(g, x)
    by_name = PGD(epsilon=0.3, steps=3, objective="naive")(g, x, y)
    assert torch.equal(PGD(epsilon=0.3, steps=3, objective=naive)(g, x, y), by_name)
    margin = PGD(epsilon=0.3, steps=3, objective=lambda log_probs, y: log_probs[:, 0].amax(dim=1))(
        g, x, y
    )
    assert not torch.allclose(margin, by_name)


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
    quick = attack(g, x, y, validate=False)
    assert_close(quick, x_adv, atol=1e-14, rtol=0)
    assert torch.equal(quick[1:2], attack(g, x[1:2], y[:1], validate=False))


def test_an_unknown_objective_is_refused_when_the_attack_is_made():
    with pytest.raises(
        LookupError,
        match="expected a registered objective, got 'smothadv'; did you mean 'smoothadv'",
    ):
        PGD(epsilon=0.5, steps=2, objective="smothadv")


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
