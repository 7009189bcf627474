"""Pairs of runs image by image; Holm's correction against published numbers."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import CertificationLog
from rsmooth.records.metrics import constant_classifier_accuracy
from rsmooth.records.pairs import changes, compare_all, difference, holm, mcnemar
from rsmooth.records.statistics import compare

RADII = [0.0, 0.1, 0.25, 0.5, 2.0]


def random_log(seed, images=200, **provenance):
    draw = np.random.default_rng(seed)
    label, predict = np.arange(images) % 3, draw.integers(-1, 3, images)
    radius = np.where(predict < 0, 0.0, draw.choice([0.0, 0.1, 0.25, 0.3, 0.5], images))
    return CertificationLog(
        np.arange(images), label, predict, radius, predict == label, np.zeros(images),
        provenance=provenance,
    )  # fmt: skip


def test_changes_are_counted_image_by_image():
    first, second = random_log(0), random_log(1)
    gained, lost = changes(first, second, RADII)
    for radius, up, down in zip(RADII, gained, lost, strict=True):
        holds = [log.correct & (log.radius >= radius) for log in (first, second)]
        assert up == (holds[1] & ~holds[0]).sum()
        assert down == (holds[0] & ~holds[1]).sum()
        mean, error = difference(up, down, 200)
        change = holds[1].astype(float) - holds[0]
        assert mean == pytest.approx(change.mean())
        assert error == pytest.approx(change.std(ddof=1) / np.sqrt(200))


@pytest.mark.parametrize("radii", [[-0.1], [0.1, float("nan")]])
def test_radii_that_are_none_are_refused(radii):
    first, second = random_log(0), random_log(1)
    for count in (changes, compare):
        with pytest.raises(ValueError, match=r"expected radii >= 0 in .0,1. pixel units, got"):
            count(first, second, radii)
    with pytest.raises(ValueError, match="expected radii >= 0"):
        constant_classifier_accuracy(first, radii, 1.0)


def test_mcnemar_is_the_binomial_test():
    for gained, lost in product(range(6), repeat=2):
        known = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
        assert mcnemar(np.array([gained]), np.array([lost]))[0] == pytest.approx(known)


def test_holm_gives_the_numbers_of_r():
    """p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm"), and one with ties."""
    assert holm([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([[0.01, np.nan], [0.04, 0.03]]) == pytest.approx(
        np.array([[0.03, np.nan], [0.06, 0.06]]), nan_ok=True
    )


def test_all_pairs_are_compared_and_counted_once():
    logs = [random_log(seed) for seed in range(3)]
    found = compare_all(logs, RADII)
    assert found.tests == 3 * len(RADII)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        gained, lost = changes(logs[one], logs[other], RADII)
        np.testing.assert_array_equal(found.p[one, other], mcnemar(gained, lost))
        np.testing.assert_array_equal(found.p[one, other], found.p[other, one])
        np.testing.assert_array_equal(found.adjusted[one, other], found.adjusted[other, one])
        assert found.difference[one, other] == pytest.approx((gained - lost) / 200)
        assert found.difference[other, one] == pytest.approx(-(gained - lost) / 200)
    upper = [found.p[a, b] for a, b in ((0, 1), (0, 2), (1, 2))]
    shown = [found.adjusted[a, b] for a, b in ((0, 1), (0, 2), (1, 2))]
    np.testing.assert_array_equal(shown, holm(upper))
    assert np.isnan(found.p[0, 0]).all()


def test_radii_that_one_did_not_decide_are_not_compared():
    decided = np.ones((3, len(RADII)), dtype=bool)
    decided[0, 1:] = False
    found = compare_all([random_log(seed) for seed in range(3)], RADII, decided)
    assert found.tests == 1 + 1 + len(RADII)
    assert np.isnan(found.adjusted[0, 1, 1:]).all()
    assert np.isfinite(found.adjusted[1, 2]).all()


def test_other_images_are_refused():
    with pytest.raises(RecordError, match="expected logs of the same images"):
        compare_all([random_log(0), random_log(1, images=100)], RADII)


def test_holm_keeps_its_promise():
    """2,000 draws of 20 true hypotheses; a rejection at 5 % within 3.5 errors of 5 %: the test is
    wrong with probability 5e-4, and fails without the correction, which gives 64 %.
    """
    p = np.random.default_rng(0).random((2000, 20))
    share = np.mean([holm(row).min() < 0.05 for row in p])
    assert abs(share - 0.05) < 3.5 * np.sqrt(0.05 * 0.95 / 2000)
