"""The modes of certification against each other, and against exact radii."""

from __future__ import annotations

import torch
from torch import Tensor

from rsmooth.certify import ABSTAIN
from rsmooth.certify.cohen import certify
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
