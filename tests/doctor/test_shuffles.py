"""Networks with their weights in disorder, and shares that stand out from theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth import MODELS
from rsmooth.doctor import examine_model
from rsmooth.doctor.shuffles import shuffled, stands_out

from .helpers import test_images


def test_weights_stay_the_same_ones_within_their_tensor() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.PReLU())
    before = {name: own.clone() for name, own in net.state_dict().items()}
    found = [shuffled(net, seed) for seed in (0, 0, 1)]
    weights = [other[0].weight for other in found if isinstance(other, nn.Sequential)]
    assert len(weights) == 3
    assert torch.equal(weights[0], weights[1])  # type: ignore[arg-type]
    assert not torch.equal(weights[0], weights[2])  # type: ignore[arg-type]
    assert not torch.equal(weights[0], net[0].weight)  # type: ignore[arg-type]
    for other in found:
        assert other is not None
        for name, own in other.state_dict().items():
            assert sorted(own.flatten().tolist()) == sorted(before[name].flatten().tolist())
    assert all(torch.equal(own, before[name]) for name, own in net.state_dict().items())


def test_a_network_without_weights_has_no_other_order() -> None:
    assert shuffled(nn.Sequential(nn.Flatten(), nn.PReLU()), 0) is None


def test_one_more_figure_stands_out_as_seldom_as_it_is_said_to() -> None:
    """Normal figures: 1,000 trials at 5 %, 3 deviations of the count off at most."""
    rng = np.random.default_rng(0)
    figures = rng.normal(0.3, 0.05, (1000, 13))
    found = [stands_out(row[0], row[1:].tolist(), 10**9, 0.05) for row in figures]
    assert abs(sum(found) - 50) < 3 * 47.5**0.5


def test_figures_that_are_alike_still_vary_with_the_images() -> None:
    """Of 100 images, 16 % has a deviation of 3.7 %; Student's t of 2 others is 31.8 at 1 %."""
    assert not stands_out(0.9, [0.16, 0.16], 100, 0.01)
    assert stands_out(0.9, [0.16] * 12, 100, 0.01)
    assert not stands_out(0.25, [0.16] * 12, 100, 0.01)
    assert stands_out(0.27, [0.16] * 12, 100, 0.01)


# Two of the first forty seeds whose guesses fit a permutation of the labels for 40 % of the images.
@pytest.mark.parametrize("seed", [1, 36])
def test_an_untrained_network_is_not_taken_for_one_with_permuted_labels(seed: int) -> None:
    torch.manual_seed(seed)
    net = MODELS.create("mlp", image_size=8, hidden=[32], normalize=((0.3,), (0.35,)))
    report = examine_model(net, test_images())
    assert "labels" not in [finding.topic for finding in report.findings]
    assert report.facts["at_chance"]
