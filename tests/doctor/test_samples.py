"""n, alpha and sigma from the largest radius of a log."""

from __future__ import annotations

import numpy as np
import pytest

from rsmooth.certify.proof.bounds import max_radius, radius_from_counts
from rsmooth.doctor.samples import (
    Setting,
    fitting,
    impossible,
    precision,
    sigma_of_path,
    top,
    unit,
    usual_settings,
)


def printed(radii: np.ndarray, form: str) -> tuple[np.ndarray, tuple[int, int]]:
    texts = [format(radius, form) for radius in radii]
    return np.array([float(text) for text in texts]), precision(texts)


@pytest.mark.parametrize("form", [".3", ".4f", ".17g"])
@pytest.mark.parametrize("sigma", [0.12, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("n", [1000, 100_000])
@pytest.mark.parametrize("alpha", [0.001, 0.01])
def test_the_setting_of_made_votes_is_found(form: str, sigma: float, n: int, alpha: float) -> None:
    misses = np.random.default_rng(0).geometric(3 / n, 300) - 1
    hits = np.concatenate([n - np.minimum(misses, n // 2), np.full(30, n)])
    radii, form_of = printed(radius_from_counts(hits, n, sigma, alpha), form)
    found = fitting(radii, form_of, sigma)
    assert (n, alpha) in [(each.n, each.alpha) for each in found]
    if form != ".3":
        assert len(found) == 1


def test_the_published_value() -> None:
    """Sigma 0.25, n 100,000, alpha 0.001: 0.953 in all published logs; at alpha 0.01 0.978."""
    for value, alpha in ((0.953, 0.001), (0.978, 0.01)):
        found = fitting(np.array([value] * 3), (3, 3), 0.25)
        assert (100_000, alpha) in [(each.n, each.alpha) for each in found]


def test_a_radius_between_two_numbers_of_votes_excludes_a_setting() -> None:
    top_two = radius_from_counts(np.array([1000, 999]), 1000, 0.25, 0.001)
    between = float(top_two.mean())
    assert fitting(np.array([top_two[0]] * 3), (17, 17), 0.25)
    assert not fitting(np.array([*[top_two[0]] * 3, between]), (17, 17), 0.25)


def test_nothing_fits_a_log_without_unanimous_votes() -> None:
    assert fitting(np.array([1.19] * 5), (3, 3), 1.0) == []
    assert fitting(np.zeros(3), (1, 1)) == []


def test_printed_places() -> None:
    assert precision(["0.378", "1.38", "0.0511", "0.0"]) == (3, 4)
    assert unit(np.array([0.378, 1.38, 0.0511]), (3, 4)) == pytest.approx([1e-3, 1e-2, 1e-4])
    assert precision(["0.9529", "0.6100"]) == (4, 4)


def test_radii_that_are_too_large() -> None:
    largest = max_radius(0.25, 100_000, 0.001)
    radii = np.array([0.953, 0.954, 9.53, 0.1])  # of 0.95285
    assert impossible(radii, (3, 3), largest).tolist() == [1, 2]
    assert impossible(np.array([largest, largest + 1e-6]), (17, 17), largest).tolist() == [1]


def test_a_single_larger_radius_is_no_limit() -> None:
    assert top(np.array([0.953] * 4 + [9.53, 0.2])) == 0.953
    assert top(np.array([0.1, 0.2])) == 0.2


def test_usual_settings() -> None:
    found = usual_settings(0.25)
    assert Setting(100_000, 0.001, 0.25, max_radius(0.25, 100_000, 0.001)) in found
    assert str(found[0]).startswith("n=100, alpha=0.001")


@pytest.mark.parametrize(
    ("path", "sigma"),
    [
        ("models/noise_0.50/certify/sigma_0.25", 0.25),
        ("a/noise_0.50_2341", 0.5),
        ("noist_1.0", 1.0),
        ("log.tsv", None),
        ("sigma_64", None),
    ],
)
def test_sigma_in_a_path(path: str, sigma: float | None) -> None:
    assert sigma_of_path(path) == sigma
