"""Norms of perturbations, and what rounding may add to them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from rsmooth.attacks.norms import drawn_within, norm_of, order_of, rounding


@pytest.mark.parametrize(
    ("norm", "order", "length"), [("l0", 0, 2), ("l1", 1, 7), ("l2", 2, 5), ("linf", math.inf, 4)]
)
def test_norms_of_three_and_four(norm: str, order: float, length: float) -> None:
    delta = torch.zeros(2, 1, 2, 2)
    delta[1].view(-1)[:2] = torch.tensor([3.0, -4.0])
    assert order_of(norm) == order
    assert norm_of(delta, norm).tolist() == [0, length]
    assert norm_of(delta, norm).dtype == torch.float64


@pytest.mark.parametrize("norm", ["", "2", "l", "lx", "l-1", "lnan", "cosine", 2, math.inf, None])
def test_what_is_no_norm_is_refused(norm: Any) -> None:
    with pytest.raises(ValueError, match="expected the name of a norm such as l1"):
        order_of(norm)


@pytest.mark.parametrize("norm", ["l0", "l1", "l2", "linf"])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32, torch.float64])
def test_rounding_covers_what_the_format_adds_and_hardly_more(norm: str, kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((20, 3, 8, 8), generator=generator, dtype=torch.float64).to(kind)
    delta = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    delta = 0.5 * delta / norm_of(delta, norm).view(-1, 1, 1, 1).clamp_min(1e-9)
    x_adv = x + delta.to(kind)
    exact = norm_of(delta, norm)
    excess = norm_of(x_adv.double() - x.double(), norm) - exact
    allowed = rounding(x_adv, float(exact[0]), norm)
    assert (excess <= allowed).all()
    assert (allowed <= 300 * torch.finfo(kind).eps * max(float(exact[0]), 1)).all()


def test_norms_of_float32_are_summed_in_float64() -> None:
    tenth = torch.full((1, 1, 1, 3), 0.1)
    assert norm_of(tenth, "l1").item() == 3 * tenth[0, 0, 0, 0].double().item()


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("epsilon", [0.0, 1 / 255, 0.1, 0.5, 3.0])
def test_what_rounding_leads_beyond_epsilon_is_drawn_back(
    norm: str, kind: torch.dtype, epsilon: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((20, 3, 8, 8), generator=generator, dtype=torch.float64).to(kind)
    delta = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    delta = delta.sign() if norm == "linf" else delta
    delta = epsilon * delta / norm_of(delta, norm).view(-1, 1, 1, 1)
    x_adv = x + (delta * (1 + 2 * torch.finfo(kind).eps)).to(kind)
    assert (norm_of(x_adv.double() - x.double(), norm) > epsilon).any() == (epsilon > 0)
    near = drawn_within(x_adv, x, epsilon, norm)
    assert near.dtype == kind
    assert (norm_of(near.double() - x.double(), norm) <= epsilon).all()
    # As users measure it, in the format of the images.
    plain = torch.linalg.vector_norm((near - x).flatten(1), ord=order_of(norm), dim=1)
    assert max(plain.tolist()) <= epsilon
    assert (norm_of(near - x, norm) >= epsilon - 3e-4 * (kind == torch.float32) - 1e-12).all()


def test_what_is_within_epsilon_stays_as_it_is() -> None:
    x = torch.tensor([0.1, 0.25, 0.7, 1.0]).view(1, 1, 2, 2)
    x_adv = torch.tensor([0.3, 0.15, 0.6, 0.9]).view(1, 1, 2, 2)
    for norm in ("l0", "l1", "l2", "linf"):
        assert torch.equal(drawn_within(x_adv, x, 4.0, norm), x_adv)
    moved = drawn_within(x_adv, x, 0.15, "linf") != x_adv
    assert moved.flatten().tolist() == [True, False, False, False]


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_of_half_formats_linf_is_kept_and_the_rest_left_alone(kind: torch.dtype) -> None:
    x = torch.rand((4, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(kind)
    x_adv = (x.float() + 8 / 255).to(kind)
    assert (x_adv.float() - x.float()).max() > 8 / 255
    near = drawn_within(x_adv, x, 8 / 255, "linf")
    assert 7 / 255 < (near.double() - x.double()).abs().max() <= 8 / 255
    assert torch.equal(drawn_within(x_adv, x, 0.4, "l2"), x_adv)
