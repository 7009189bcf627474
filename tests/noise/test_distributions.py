"""Every registered distribution: its formulas against a second derivation, and its draws."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import stats

from rsmooth.noise import Gaussian, Laplace, Uniform
from rsmooth.noise.distributions import as_noise, noise_of_record

mpmath = pytest.importorskip("mpmath", reason="the independent computation needs mpmath")
from tests.noise.oracles import NAMES, ORACLES, SCALES, make  # noqa: E402  (imports mpmath)

mpf = mpmath.mpf
# Probabilities of a class, from barely a majority to next to certain.
SHARES = [0.5 + 1e-9, 0.5001, 0.51, 0.6, 0.75, 0.9, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9, 1 - 1e-13]

every_noise = pytest.mark.parametrize("name", NAMES)
every_scale = pytest.mark.parametrize("scale", SCALES)


@pytest.fixture(autouse=True)
def forty_digits():
    with mpmath.workdps(40):
        yield


def test_every_registered_distribution_has_an_oracle():
    assert set(NAMES) == set(ORACLES)


@every_noise
@every_scale
def test_a_radius_is_the_exact_one_rounded_down(name, scale):
    noise, oracle = make(name, scale), ORACLES[name]
    assert noise.norm == oracle.norm
    for p in SHARES:
        exact = scale * oracle.radius(1 - mpf(p))
        assert noise.radius(p) <= exact
        assert noise.radius(p) >= exact - 3e-12 * (1 + exact), p
    assert noise.radius(np.array(SHARES)).tolist() == [noise.radius(p) for p in SHARES]


@every_noise
@every_scale
def test_a_share_is_the_exact_one_rounded_up(name, scale):
    noise, oracle = make(name, scale), ORACLES[name]
    for radius in np.linspace(0.0, 3.0 * scale, 61).tolist():
        exact = 1 - oracle.miss(mpf(radius) / mpf(scale))
        assert noise.share(radius) >= exact, "a class of that share would not hold"
        assert noise.share(radius) <= exact + 1e-12
        shifted = noise.share(radius, total_variation=1e-3)
        assert exact + mpf(1e-3) - 1e-18 <= shifted <= exact + 1e-3 + 1e-12 or shifted == 1.0


@every_noise
@every_scale
def test_radius_and_share_are_inverse_to_each_other(name, scale):
    noise, oracle = make(name, scale), ORACLES[name]
    for p in SHARES[1:-1]:
        there = noise.radius(p)
        exact = 1 - oracle.miss(mpf(there) / mpf(scale))
        # Radii lie below by 1e-12 of themselves and of the unit, at a density of 1/2 per scale.
        assert exact <= noise.share(there) == pytest.approx(p, abs=2e-12 * (1 + 1 / scale))
    for p in SHARES[1:8]:  # nearer to 1 a float holds too little of 1 - p
        there = noise.radius(p)
        assert noise.radius(noise.share(there)) == pytest.approx(there, abs=1e-11)


@every_noise
def test_the_ends_of_the_scale(name):
    noise = make(name, 0.5)
    assert noise.radius(0.5) == noise.radius(0.3) == noise.radius(0.0) == 0.0
    assert noise.radius(1.0) == pytest.approx(0.5 if name == "uniform" else math.inf)
    assert 0.5 <= noise.share(0.0) < 0.5 + 1e-12
    assert noise.share(1e9) == 1.0
    with pytest.raises(ValueError, match=r"probabilities within \[0, 1\], got 1\.1"):
        noise.radius(1.1)
    with pytest.raises(ValueError, match="radius >= 0"):
        noise.share(-0.1)
    for distance in (-0.1, math.nan):
        with pytest.raises(ValueError, match="expected a total variation >= 0"):
            noise.share(0.1, total_variation=distance)


@every_noise
@every_scale
def test_one_pixel_against_a_threshold_has_exactly_its_distance(name, scale):
    """f(z) = 1[z > t] has p = P(noise > t - x), and its boundary is x - t away in every norm."""
    noise, oracle = make(name, scale), ORACLES[name]
    for distance in (k * mpf(scale) / 16 for k in range(1, 100)):
        miss = oracle.tail(distance / mpf(scale))
        p = below(1 - miss)
        assert noise.radius(p) <= distance
        if miss:  # a uniform pixel further away is certain, and no radius says more
            assert noise.radius(p) >= distance - 1e-11 - scale * 4e-16 / (1 - p)


@every_noise
@every_scale
def test_the_sum_of_two_pixels_is_never_overstated(name, scale):
    """f(z) = 1[z1 + z2 > t]: l1 distance x1 + x2 - t, l2 distance that over sqrt(2)."""
    noise, oracle = make(name, scale), ORACLES[name]
    for excess in (k * mpf(scale) / 16 for k in range(1, 100)):
        p = below(1 - oracle.sum_tail(excess / mpf(scale)))
        distance = oracle.pair * excess
        assert noise.radius(p) <= distance
        if name == "gaussian":  # where a half-space is the worst case
            assert noise.radius(p) >= distance - 1e-11 - scale * 4e-16 / (1 - p)


def below(exact):
    """The float below an exact probability."""
    return math.nextafter(float(exact), 0.0)


@every_noise
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_fill_draws_the_distribution(name, dtype):
    # 200,000 values at a fixed seed; a correct generator fails at one seed in 10^5.
    noise, generator = make(name, 0.3), torch.Generator().manual_seed(0)
    filled = noise.fill(torch.empty(200_000, dtype=dtype), generator)
    assert filled.dtype == dtype
    assert stats.kstest(filled.double().numpy() / 0.3, ORACLES[name].scipy.cdf).pvalue > 1e-5
    again = noise.fill(torch.empty(200_000, dtype=dtype), torch.Generator().manual_seed(0))
    assert torch.equal(again, filled)
    assert not torch.equal(noise.fill(torch.empty(200_000, dtype=dtype), generator), filled)


@every_noise
def test_a_scale_of_zero_is_no_noise(name):
    noise = make(name, 0.0)
    assert torch.equal(noise.fill(torch.ones(5)), torch.zeros(5))
    with pytest.raises(ValueError, match=f"finite {noise.scale_name} > 0"):
        noise.thresholds()
    assert noise.radius(np.array([0.0, 0.5, 0.9, 1.0])).tolist() == [0.0, 0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match=f"finite {noise.scale_name} > 0"):
        noise.share(0.1)


@every_noise
def test_a_record_brings_the_distribution_back(name):
    noise = make(name, 0.25)
    assert noise_of_record(noise.record()) == noise
    assert noise.record() == {"name": name, noise.scale_name: 0.25}
    assert str(noise) == f"{name} {noise.scale_name}=0.25"
    assert as_noise(noise) is noise
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(noise, noise.scale_name, 1.0)


def test_a_number_is_the_sigma_of_gaussian_noise():
    assert as_noise(0.25) == as_noise("0.25") == Gaussian(0.25)
    assert Uniform(0.25) != Laplace(0.25)


@pytest.mark.parametrize(
    "record",
    [
        {"name": "gaussian"},
        {"name": "gaussian", "half_width": 0.5},
        {"name": "gaussian", "sigma": 0.5, "mean": 0.0},
        {"name": "gaussian", "sigma": None},
    ],
)
def test_a_record_of_another_scale_is_refused(record):
    with pytest.raises(ValueError, match="expected a noise and its one scale, got"):
        noise_of_record(record)


@pytest.mark.parametrize("record", [{}, {"name": "pink"}, {"name": 3}, {"sigma": 0.5}])
def test_a_record_of_no_known_noise_is_refused(record):
    with pytest.raises(ValueError, match=r"expected a noise among gaussian, laplace,.* uniform"):
        noise_of_record(record)


@every_noise
@pytest.mark.parametrize("scale", [-0.1, math.nan, math.inf])
def test_bad_scales_are_refused(name, scale):
    with pytest.raises(ValueError, match=r"expected a finite \w+ > 0 in \[0,1\] pixel units"):
        make(name, scale)


@every_noise
def test_the_total_variation_of_an_image_grows_with_its_values(name):
    noise = make(name, 0.5)
    each = noise.thresholds().total_variation
    assert noise.total_variation(0) == 0.0
    assert 3072 * each <= noise.total_variation(3072) <= 3072 * each * (1 + 1e-15)
    assert noise.total_variation(10**40) == 1.0
    with pytest.raises(ValueError, match="d >= 0"):
        noise.total_variation(-1)
    with pytest.raises(ValueError, match=r"expected an integer number of values d, got 3\.5"):
        noise.total_variation(3.5)


def with_formulas(radius_of_miss=None, miss_of_radius=None):
    """Laplace noise as a plug-in whose author mistook a formula."""
    formulas = {"radius_of_miss": radius_of_miss, "miss_of_radius": miss_of_radius}
    given = {
        name: lambda self, value, formula=formula: formula(value)
        for name, formula in formulas.items()
        if formula is not None
    }
    return dataclasses.dataclass(frozen=True)(type("Mistaken", (Laplace,), given))(0.25)


@pytest.mark.parametrize(
    "formula",
    [
        lambda miss: np.full_like(miss, np.nan),
        lambda miss: np.full_like(miss, np.inf),
        lambda miss: np.full_like(miss, -np.inf),
        lambda miss: np.zeros(7),
        lambda miss: None,
    ],
)
def test_a_formula_that_gives_no_radius_is_refused(formula):
    noise = with_formulas(radius_of_miss=formula)
    for share in (0.9, np.array([0.6, 0.9])):
        with pytest.raises(
            ValueError, match=r"finite radius per .* laplace scale=0\.25.*check_noise"
        ):
            noise.radius(share)


@pytest.mark.parametrize(
    "mistaken",
    [
        with_formulas(miss_of_radius=lambda radius: 1.0 - 0.5 * math.exp(-radius)),
        with_formulas(miss_of_radius=lambda radius: math.exp(-radius)),
        with_formulas(miss_of_radius=lambda radius: 0.25 + 0.2 * math.sin(40.0 * radius)),
        with_formulas(radius_of_miss=lambda miss: np.full_like(miss, np.nan)),
        with_formulas(radius_of_miss=lambda miss: np.full_like(miss, np.inf)),
    ],
    ids=["p for miss", "both tails", "not monotone", "nan", "infinite"],
)
def test_a_share_of_formulas_that_contradict_each_other_is_refused(mistaken):
    with pytest.raises(ValueError, match=r"inverse to each other, got .*check_noise"):
        mistaken.share(0.1)
