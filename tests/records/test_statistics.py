"""Errors, intervals and tests against independent computations."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import average_certified_radius, certified_accuracy, certified_radii
from rsmooth.records.statistics import (
    accuracy_interval,
    accuracy_standard_error,
    compare,
    false_certificates,
    radius_interval,
    radius_standard_error,
    wilson_interval,
)

RADII = [0.0, 0.25, 0.5, 2.0]


def random_log(seed, n=400, shift=0.0, ability=0.0):
    """A log whose radii follow ``ability`` (n,), shared between logs to make them correlated."""
    draw = np.random.default_rng(seed)
    radius = np.maximum(0.3 + shift + 0.3 * draw.standard_normal(n) + ability, 0.0)
    label = draw.integers(0, 2, n) * 0
    predict = np.where(radius == 0, -1, np.where(draw.random(n) < 0.2, 1, 0))
    return CertificationLog(
        idx=np.arange(n),
        label=label,
        predict=predict,
        radius=radius,
        correct=predict == label,
        time=np.ones(n),
    )


LOG = random_log(0)


def test_standard_errors_against_scipy():
    holds = LOG.correct[:, None] & (LOG.radius[:, None] >= RADII)
    np.testing.assert_allclose(
        accuracy_standard_error(LOG, RADII), stats.sem(holds, axis=0, ddof=0), rtol=1e-12
    )
    assert radius_standard_error(LOG) == pytest.approx(
        stats.sem(LOG.correct * LOG.radius), rel=1e-12
    )


def test_wilson_interval_against_scipy():
    low, high = accuracy_interval(LOG, RADII, 0.9)
    for k, radius in enumerate(RADII):
        hits = int((LOG.correct & (LOG.radius >= radius)).sum())
        expected = stats.binomtest(hits, len(LOG)).proportion_ci(0.9, method="wilson")
        assert (low[k], high[k]) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert low[-1] == 0.0


def test_bootstrap_interval_against_the_t_interval():
    values = certified_radii(LOG)
    expected = stats.t.interval(0.95, len(values) - 1, loc=values.mean(), scale=stats.sem(values))
    # 2000 resamples leave an end uncertain by about 0.05 standard errors of the mean; five times
    # that is allowed.
    assert radius_interval(LOG) == pytest.approx(expected, abs=0.25 * stats.sem(values))
    assert radius_interval(LOG) == radius_interval(LOG)
    assert radius_interval(LOG) != radius_interval(LOG, seed=1)
    narrow, wide = radius_interval(LOG, 0.5), radius_interval(LOG, 0.99)
    assert wide[0] < narrow[0] < average_certified_radius(LOG) < narrow[1] < wide[1]
    assert radius_interval(LOG, resamples=1) == pytest.approx(
        (average_certified_radius(LOG),) * 2, abs=0.1
    )


def test_paired_comparison_against_scipy():
    ability = np.random.default_rng(3).standard_normal(400)
    first, second = random_log(1, ability=ability), random_log(2, shift=0.1, ability=ability)
    paired = compare(first, second, RADII)
    values = certified_radii(first), certified_radii(second)
    assert paired.radius == pytest.approx(values[1].mean() - values[0].mean(), rel=1e-12)
    assert paired.radius_error == pytest.approx(stats.sem(values[1] - values[0]), rel=1e-12)
    assert paired.radius_p == pytest.approx(stats.ttest_rel(values[1], values[0]).pvalue, rel=1e-9)
    assert paired.radius_interval[0] < paired.radius < paired.radius_interval[1]
    assert paired.radius_error < 0.8 * np.hypot(
        radius_standard_error(first), radius_standard_error(second)
    )
    for k, radius in enumerate(RADII):
        a, b = (log.correct & (log.radius >= radius) for log in (first, second))
        assert paired.accuracy[k] == pytest.approx(b.mean() - a.mean(), abs=1e-12)
        assert paired.accuracy_error[k] == pytest.approx(stats.sem(b.astype(float) - a), abs=1e-12)
        changed = int((a != b).sum())
        expected = stats.binomtest(int((b & ~a).sum()), changed).pvalue if changed else 1.0
        assert paired.accuracy_p[k] == pytest.approx(expected, rel=1e-9)


def test_a_run_against_itself_differs_in_nothing():
    paired = compare(LOG, LOG, RADII)
    assert paired.radius == paired.radius_error == 0.0
    assert paired.radius_p == 1.0
    np.testing.assert_array_equal(paired.accuracy_p, 1.0)
    assert paired.weak_claims() == []


def test_weak_claims_are_those_within_their_error():
    better = random_log(1, shift=1.0)
    assert compare(random_log(1), better, [0.5]).weak_claims() == []
    claims = compare(random_log(1), random_log(2), [0.25]).weak_claims()
    assert len(claims) == 2
    assert claims[0].startswith("certified accuracy at r=0.25: ")
    assert claims[0].endswith(" points is within its error")
    assert claims[1].startswith("average certified radius: ")
    paired = compare(random_log(1), random_log(2), [0.25])
    assert paired.weak_claims(average=False) == claims[:1]


def test_equal_gains_everywhere_are_certain():
    columns = {"idx": [0, 1], "label": [0, 0], "predict": [0, 0], "correct": [1, 1], "time": [0, 0]}
    first, second = (
        CertificationLog(radius=radius, **columns) for radius in ([1.0, 2.0], [1.5, 2.5])
    )
    paired = compare(first, second, [1.0])
    assert (paired.radius, paired.radius_error, paired.radius_p) == (0.5, 0.0, 0.0)


def test_other_images_cannot_be_paired():
    with pytest.raises(RecordError, match="400 and 399 images"):
        compare(LOG, random_log(0, n=399), RADII)
    with pytest.raises(RecordError, match="two images for a standard error"):
        radius_standard_error(random_log(0, n=1))
    with pytest.raises(RecordError, match="at least one image, got none"):
        radius_interval(random_log(0, n=0))


def test_other_statements_cannot_be_paired():
    l1 = replace(LOG, provenance={"norm": "l1"})
    with pytest.raises(RecordError, match="log 1 states l1 radii and log 0 l2 radii; convert one"):
        compare(LOG, l1, RADII)
    sure = replace(LOG, provenance={"norm": "l2", "kind": "deterministic"})
    with pytest.raises(RecordError, match="log 1 is probabilistic and log 0 deterministic"):
        compare(sure, LOG, RADII)


def test_false_certificates_as_published():
    assert false_certificates(500, 0.001) == (0.5, 4)
    assert false_certificates(10_000, 0.001) == (10.0, 21)
    assert false_certificates(500, 0.001, level=0.5)[1] == 0
    with pytest.raises(ValueError, match="at least one image"):
        false_certificates(0, 0.001)


def test_wilson_interval_covers():
    # Exact, not simulated: the coverage at p = 0.3, n = 100, summed over all outcomes.
    covered = 0.0
    for hits in range(101):
        correct = np.arange(100) < hits
        log = CertificationLog(
            idx=np.arange(100),
            label=np.ones(100, int),
            predict=correct.astype(int),
            radius=np.ones(100),
            correct=correct,
            time=np.zeros(100),
        )
        low, high = accuracy_interval(log, 1.0)
        assert certified_accuracy(log, 1.0) == hits / 100
        covered += stats.binom.pmf(hits, 100, 0.3) * (low <= 0.3 <= high)
    assert 0.93 < covered < 0.97


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, math.nan])
def test_a_confidence_is_no_alpha(confidence):
    for ask in (
        lambda: accuracy_interval(LOG, [0.1], confidence),
        lambda: radius_interval(LOG, confidence),
        lambda: false_certificates(10, 0.001, confidence),
    ):
        with pytest.raises(ValueError, match=r"expected a confidence in \(0, 1\), got"):
            ask()


def test_no_resamples_no_interval():
    for resamples in (0, -1):
        with pytest.raises(ValueError, match="expected resamples >= 1, got"):
            radius_interval(LOG, resamples=resamples)
    for wrong in (2.5, True):
        with pytest.raises(ValueError, match="expected an integer"):
            radius_interval(LOG, resamples=wrong)
        with pytest.raises(ValueError, match="expected an integer"):
            false_certificates(wrong, 0.001)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_wilson_interval_holds_the_rate_at_no_hits_and_at_all(share):
    """In floating point its ends fell inside, for a quarter of these numbers."""
    for n in range(1, 3000):
        low, high = wilson_interval([share], n)
        assert low[0] <= share <= high[0]
        assert (low[0] if share == 0 else high[0]) == share
