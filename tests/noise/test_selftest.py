"""The self-test passes on this machine, and finds faults that are planted in the very stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rsmooth.noise import selftest
from rsmooth.noise.distributions import Gaussian, Laplace, NoiseDistribution, Uniform
from rsmooth.noise.grid import GridSampler
from rsmooth.noise.selftest import distribution_function, self_test

Draw = Callable[..., Tensor]
NOISES: list[NoiseDistribution] = [Gaussian(0.25), Uniform(0.5), Laplace(0.2)]
PLAIN: Draw = GridSampler.sample


# Seed 0 has been seen to pass; its stream is the same everywhere. Another seed would fail with
# probability below 1e-10.
@pytest.mark.parametrize("noise", [*NOISES, Gaussian(0.0005), Gaussian(0.002)])
def test_this_machine_passes(noise: NoiseDistribution) -> None:
    assert [check.name for check in self_test(noise) if not check.passed] == []


def rescaled(self: GridSampler, key: Any, *rest: Any) -> Tensor:
    return PLAIN(GridSampler(Gaussian(self.noise.scale_value * 0.98)), key, *rest)


def repeated(self: GridSampler, key: Any, ids: Tensor, samples: Tensor, *rest: Any) -> Tensor:
    return PLAIN(self, key, ids, samples % (selftest.SAMPLES // 2), *rest)


def high_words_of_ids_dropped(self: GridSampler, key: Any, ids: Tensor, *rest: Any) -> Tensor:
    return PLAIN(self, key, ids & 0xFFFFFFFF, *rest)


def mirrored(self: GridSampler, key: Any, ids: Tensor, samples: Tensor, *rest: Any) -> Tensor:
    """Antithetic samples, as a well-meant improvement."""
    sign = 1 - 2 * (samples % 2).to(torch.int16)
    return PLAIN(self, key, ids, samples // 2, *rest) * sign.view(-1, 1, 1, 1)


def shared_sizes(self: GridSampler, key: Any, ids: Tensor, samples: Tensor, *rest: Any) -> Tensor:
    """Fresh signs on old magnitudes: no correlation, but no independence."""
    signs = PLAIN(self, key, ids, samples, *rest).sign()
    return PLAIN(self, key, ids, samples // 2, *rest).abs() * signs


def without_seed(self: GridSampler, key: Any, *rest: Any) -> Tensor:
    return PLAIN(self, (1, 2), *rest)


def one_in_fifty() -> Tensor:
    shape = (len(selftest.IMAGES) * selftest.SAMPLES, *selftest.SHAPE)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) < 0.02


def neighbours_mixed(self: GridSampler, *rest: Any) -> Tensor:
    noise = PLAIN(self, *rest)
    return torch.where(one_in_fifty(), noise.roll(1, dims=-1), noise)


def one_dead_pixel(self: GridSampler, *rest: Any) -> Tensor:
    noise = PLAIN(self, *rest).clone()
    noise[:, 0, 0, 0] = 0
    return noise


def shifted(self: GridSampler, *rest: Any) -> Tensor:
    return PLAIN(self, *rest) + 2


def lighter_tails(self: GridSampler, *rest: Any) -> Tensor:
    """What makes radii too large at an unchanged variance: fewer extreme values."""
    limit = int(2.5 * 255 * self.noise.scale_value)
    return PLAIN(self, *rest).clamp(-limit, limit)


@pytest.mark.parametrize(
    "fault",
    [
        rescaled,
        repeated,
        high_words_of_ids_dropped,
        mirrored,
        shared_sizes,
        without_seed,
        neighbours_mixed,
        one_dead_pixel,
        shifted,
        lighter_tails,
    ],
)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, fault: Draw) -> None:
    monkeypatch.setattr(selftest, "SAMPLES", 256)  # a quarter: faults are found all the faster
    monkeypatch.setattr(selftest, "known_answers", lambda device: [])  # which alone might find it
    monkeypatch.setattr(selftest, "same_bits", lambda *_, **__: [])
    assert all(check.passed for check in self_test(Gaussian(0.25)))
    monkeypatch.setattr(GridSampler, "sample", fault)
    assert any(not check.passed for check in self_test(Gaussian(0.25)))


@pytest.mark.parametrize("fault", ["stuck bit", "repeated word"])
def test_faults_of_the_words_are_found(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(selftest, "SAMPLES", 256)
    right = selftest.sample_pairs

    def wrong(*arguments: Any) -> Tensor:
        pairs = right(*arguments).clone()
        if fault == "stuck bit":
            return pairs | 1
        pairs[5, 1] = pairs[9, 2]
        return pairs

    monkeypatch.setattr(selftest, "sample_pairs", wrong)
    assert any(not check.passed for check in self_test(Gaussian(0.25)))


@pytest.mark.parametrize(
    "fault", [lambda values: values * 1.02, lambda values: values + 0.005, lambda v: v - 0.005]
)
def test_faults_of_floating_point_noise_are_found(
    monkeypatch: pytest.MonkeyPatch, fault: Draw
) -> None:
    right = selftest.draw
    monkeypatch.setattr(selftest, "draw", lambda *args: fault(right(*args)))
    assert any(not check.passed for check in self_test(Laplace(0.2)))


def test_the_largest_of_many_is_compared_with_many() -> None:
    one, many = selftest._normal("one", -7.2), selftest._normal("of 64", 7.2, among=64)
    assert one.p_value == pytest.approx(2 * stats.norm.sf(7.2), rel=1e-9)
    assert many.p_value == pytest.approx(64 * one.p_value, rel=1e-9)
    assert not one.passed
    assert many.passed


@pytest.mark.parametrize(
    ("noise", "oracle"),
    [
        (Gaussian(0.25), stats.norm(scale=0.25)),
        (Uniform(0.5), stats.uniform(-0.5, 1.0)),
        (Laplace(0.2), stats.laplace(scale=0.2)),
    ],
)
def test_distribution_functions_are_those_of_scipy(
    noise: NoiseDistribution, oracle: stats.rv_continuous
) -> None:
    at = np.linspace(-1.5, 1.5, 101)
    np.testing.assert_allclose(distribution_function(noise, at), oracle.cdf(at), rtol=1e-12)


def test_seeds_are_whole_numbers() -> None:
    with pytest.raises(ValueError, match="seed"):
        self_test(Gaussian(0.25), seed=0.5)  # type: ignore[arg-type]
