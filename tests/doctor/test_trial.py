"""Accuracies under each normalisation and noise, compared image by image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rsmooth.doctor.sample import candidates
from rsmooth.doctor.trial import (
    SIGMAS,
    Trial,
    above_chance,
    differ,
    interval,
    rivals,
    run_trial,
)

from .helpers import digits_sample, trained


def right(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=bool)


def test_mcnemar_by_hand() -> None:
    assert differ(right(1, 1, 1, 1, 1, 0), right(0, 0, 0, 0, 0, 0)) == pytest.approx(2 * 0.5**5)
    assert differ(right(1, 0), right(0, 1)) == 1.0
    assert differ(right(1, 1, 1), right(1, 1)) == 1.0  # on the images that both have seen


def test_intervals_are_exact() -> None:
    low, high = interval(right(1, 1, 1, 0))
    assert stats.binom.sf(2, 4, low) == pytest.approx(0.025)
    assert stats.binom.cdf(3, 4, high) == pytest.approx(0.025)


def test_chance() -> None:
    assert above_chance(right(*[1] * 10), 0.1)
    assert not above_chance(right(1, *[0] * 9), 0.1)
    assert not above_chance(right(1, 1, *[0] * 3), 0.1, comparisons=10)


def test_the_right_normalisation_is_best() -> None:
    one = digits_sample()
    net = trained()[1]
    trial = run_trial(net, candidates(one.x), one.x, one.labels)
    assert trial.best()[0] in ("0.5:0.5", "0.305:0.378")
    assert "none" not in rivals(trial, "0.5:0.5")
    trial.complete("0.5:0.5", SIGMAS)
    assert {len(trial.answers["0.5:0.5", sigma]) for sigma in SIGMAS} == {trial.count}
    assert trial.sigmas("0.5:0.5") == list(SIGMAS)


def test_the_same_call_gives_the_same_answers() -> None:
    one = digits_sample()
    trials = [run_trial(trained()[1], candidates(one.x), one.x, one.labels) for _ in range(2)]
    for key, given in trials[0].answers.items():
        assert np.array_equal(given, trials[1].answers[key])


def test_a_heavy_network_is_tried_on_fewer_images() -> None:
    one = digits_sample()
    layers = candidates(one.x)
    trial = run_trial(trained()[1], layers, one.x, one.labels, budget=1.0)
    assert sorted({len(each) for each in trial.answers.values()}) == [10, 48]
    likely = run_trial(trained()[1], layers, one.x, one.labels, likely=["none"], budget=1.0)
    assert len(likely.answers["none", 0.0]) == 48


def test_the_best_is_among_those_that_saw_most_images() -> None:
    few, many = np.array([1]), np.array([1, 1, 0])
    trial = Trial(np.array([1, 1, 1]), {("a", 0.0): few, ("b", 0.0): many, ("b", 0.5): many})
    assert trial.best() == ("b", 0.0)
    assert trial.best("a") == ("a", 0.0)
    assert trial.normalizations() == ["a", "b"]
    assert rivals(trial, "b") == ["a"]


def test_the_same_noise_for_all() -> None:
    seen = []

    class Notes(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return x.flatten(1)[:, :2]

    x = torch.rand(12, 1, 4, 4)
    layers = {"a": nn.Identity(), "b": nn.Identity()}
    run_trial(Notes(), layers, x, torch.zeros(12, dtype=torch.int64), (0.0, 0.5), budget=1.0)
    runs = [each for each in seen if len(each) == 10]
    assert torch.equal(runs[0], runs[2])
    assert torch.equal(runs[1], runs[3])
