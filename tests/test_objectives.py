"""The two objectives against the formulas written out, and the relations between them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsmooth.objectives import (
    check_answers,
    check_columns,
    log_mean,
    naive,
    resolve_objective,
    smoothadv,
)
from rsmooth.registry import RegistryError


def random_log_probs(
    batch: int, m: int, classes: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(batch, m, classes, generator=generator, dtype=torch.float64)
    return logits.log_softmax(2), torch.randint(classes, (batch,), generator=generator)


def test_against_the_formulas():
    log_probs, y = random_log_probs(5, 7, 4, seed=0)
    for b in range(5):
        p = [math.exp(log_probs[b, i, y[b]]) for i in range(7)]
        assert naive(log_probs, y)[b].item() == pytest.approx(-sum(map(math.log, p)) / 7, abs=1e-12)
        assert smoothadv(log_probs, y)[b].item() == pytest.approx(-math.log(sum(p) / 7), abs=1e-12)


@given(
    batch=st.integers(0, 4),
    m=st.integers(1, 6),
    classes=st.integers(2, 5),
    seed=st.integers(0, 10**6),
)
def test_smoothadv_is_at_most_naive_and_equal_for_one_sample(batch, m, classes, seed):
    log_probs, y = random_log_probs(batch, m, classes, seed)
    assert (smoothadv(log_probs, y) <= naive(log_probs, y) + 1e-12).all()
    one = log_probs[:, :1]
    torch.testing.assert_close(smoothadv(one, y), naive(one, y), rtol=0, atol=1e-12)


def test_smoothadv_survives_underflow_of_every_probability():
    log_probs = torch.full((1, 3, 2), -2000.0, dtype=torch.float64)
    log_probs[0, 1, 0] = -1000.0
    assert smoothadv(log_probs, torch.tensor([0])).item() == pytest.approx(1000 + math.log(3))


def test_gradient_of_smoothadv_weights_the_copies_by_their_probability():
    log_probs, y = random_log_probs(3, 4, 5, seed=1)
    log_probs.requires_grad_()
    smoothadv(log_probs, y).sum().backward()
    p = log_probs.detach().gather(2, y.view(-1, 1, 1).expand(-1, 4, 1)).squeeze(2).exp()
    expected = torch.zeros_like(log_probs)
    expected.scatter_(
        2, y.view(-1, 1, 1).expand(-1, 4, 1), -(p / p.sum(1, keepdim=True)).unsqueeze(2)
    )
    torch.testing.assert_close(log_probs.grad, expected)


def test_the_log_of_the_mean_is_that_of_the_mean_probabilities():
    log_probs, _ = random_log_probs(5, 7, 4, seed=2)
    torch.testing.assert_close(log_mean(log_probs), log_probs.exp().mean(dim=1).log())


@pytest.mark.parametrize(
    "shapes",
    [
        [(5,), (5, 4)],
        [(5,), (4, 7, 4)],
        [(5, 1), (5, 7, 4)],
        [(5,), (5, 7, 4), (5, 7, 3)],
        [(5,), (5, 7, 4), (4, 7, 4)],
    ],
)
def test_answers_that_do_not_fit_the_labels_are_refused(shapes):
    y, *answers = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=r"of the same B and K.*log_probs\.unsqueeze\(1\)"):
        check_answers(y, *answers)


def test_answers_and_columns_that_fit_are_taken_and_other_columns_are_not():
    y = torch.zeros(5)
    check_answers(y, torch.zeros(5, 7, 4), torch.zeros(5, 1, 4))
    check_columns(y, mixing=(torch.zeros(5), ()), soft_labels=(torch.zeros(5, 4), (4,)))
    with pytest.raises(ValueError, match=r"expected mixing of shape \(5,\), one row per image"):
        check_columns(y, soft_labels=(torch.zeros(5, 4), (4,)), mixing=(torch.zeros(5, 1), ()))


def test_resolve_objective_takes_names_and_functions():
    assert resolve_objective("naive") is naive
    assert resolve_objective(smoothadv) is smoothadv
    with pytest.raises(RegistryError, match="did you mean 'smoothadv'"):
        resolve_objective("smothadv")
    with pytest.raises(ValueError, match="expected the name of an objective, or a function of"):
        resolve_objective(3)
