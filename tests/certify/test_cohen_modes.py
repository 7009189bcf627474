"""The modes of certification against each other, and against exact radii."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from rsmooth.certify import ABSTAIN
from rsmooth.certify.cohen import certification, certify
from rsmooth.certify.proof.rules import RadiusRule
from rsmooth.certify.votes.requests import Outcome, VoteRequest
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import HalfSpace, half_space, images, small_net


def sides(g: SmoothedClassifier, x: Tensor) -> Tensor:
    """The true radius of each image under a half-space, negative on the side of class 0."""
    net = g.base
    assert isinstance(net, HalfSpace)
    return ((x.double() / 255) * net.w).flatten(1).sum(1) - net.b


def test_radius_mode_decides_clear_images_as_the_fixed_mode_does() -> None:
    g, x = half_space(), images(60, seed=9)
    fixed = certify(g, x, n=4000)
    decided = certify(g, x, n=4000, mode="radius", radius=0.25)
    clear = (sides(g, x).abs() - 0.25).abs() > 0.08
    assert clear.sum() > 30
    assert torch.equal((fixed.radius >= 0.25)[clear], (decided.label != ABSTAIN)[clear])
    assert set(decided.radius.tolist()) == {0.0, 0.25}
    assert decided.samples.double().mean() < 0.3 * 4000
    assert decided.looks[0][-1][0] == decided.samples[0]


def test_grid_mode_certifies_the_cell_of_the_fixed_radius() -> None:
    g, x = half_space(), images(30, seed=9)
    radii = (0.0, 0.2, 0.4, 0.6)
    fixed, cells = certify(g, x, n=4000), certify(g, x, n=4000, mode="grid", radii=radii)
    assert set(cells.radius.tolist()) <= set(radii)
    assert ((cells.radius - fixed.radius).abs() < 0.21)[cells.label >= 0].all()
    assert cells.samples.double().mean() < 4000


def test_anytime_mode_comes_within_its_tolerance() -> None:
    g, x = half_space(), images(30, seed=9)
    fixed, early = certify(g, x, n=4000), certify(g, x, n=4000, mode="anytime", tolerance=0.1)
    # The tolerance holds for the share that was seen when sampling ended; that share is off by some
    # 0.1 in the radius.
    given_away = fixed.radius - early.radius
    assert given_away.mean() <= 0.1
    assert given_away.max() <= 0.3
    assert (given_away > 0).any()
    assert early.samples.double().mean() < 0.8 * 4000


def test_modes_share_the_first_votes() -> None:
    """A sequential mode sees a prefix of the stream that the fixed mode sees."""
    g, x = small_net(), images(4)
    decided = certify(g, x, n=1000, mode="radius", radius=0.1)
    for at in range(4):
        samples = int(decided.samples[at])
        prefix = certify(g, x[at : at + 1], n=samples)
        assert torch.equal(prefix.counts[0], decided.counts[at])


def run(
    selection: dict[int, list[int]], estimate: list[int]
) -> tuple[list[VoteRequest], Outcome | None]:
    """What the algorithm asks for and finds; copies of the estimation all get one row of votes."""
    procedure = certification(RadiusRule(0.5, 0.25, 0.001, 1000), n0=100)
    asked, request = [], next(procedure)
    while True:
        asked.append(request)
        row = selection[request.samples] if request.purpose == "select" else estimate
        scale = 1 if request.purpose == "select" else request.samples
        try:
            request = procedure.send(np.array(row, dtype=np.int64) * scale)
        except StopIteration as end:
            return asked, end.value


def test_a_selection_ends_at_a_lead_and_other_votes_test_its_class() -> None:
    early = {16: [0, 16, 0]}
    asked, found = run(early, [1, 0, 0])
    assert [request for request in asked if request.purpose == "select"] == [
        VoteRequest("select", 16)
    ]
    assert asked[1] == VoteRequest("estimate", 32)
    assert found is not None
    assert (found.label, found.radius, found.selected_from) == (ABSTAIN, 0.0, 16)
    asked, found = run(early, [0, 1, 0])
    assert found is not None
    assert (found.label, found.radius, found.looks[0]) == (1, 0.25, (32, 32))
    late = {16: [1, 15, 0], 32: [9, 23, 0], 64: [25, 39, 0], 100: [51, 49, 0]}
    asked, found = run(late, [1, 0, 0])
    assert [request.samples for request in asked if request.purpose == "select"] == [*late]
    assert found is not None
    assert (found.label, found.selected_from) == (0, 100)
    assert found.selection is not None
    assert found.selection.tolist() == [51, 49]


def test_first_copies_without_votes_do_not_end_a_selection() -> None:
    """Whether a network answers at all is asked of n0 copies, however many are looked at first."""
    _, found = run({16: [0, 0, 16], 32: [0, 1, 31], 64: [0, 33, 31]}, [0, 1, 0])
    assert found is not None
    assert (found.label, found.selected_from) == (1, 64)
    with pytest.raises(ValueError, match="every one of 100 noisy"):
        run({size: [0, 0, size] for size in (16, 32, 64, 100)}, [0, 1, 0])
