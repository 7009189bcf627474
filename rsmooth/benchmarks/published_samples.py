"""The exact mean samples of the sequential modes on published logs, before and after a design.

``python -m benchmarks certify-samples --logs LOG... --sigmas SIGMA...`` reads the vote share of
each image back from its published radius, and follows every possible stream of votes. Nothing is
drawn and no model is needed.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from rsmooth.benchmarks.published_alpha import published_alpha
from rsmooth.benchmarks.wald import wald_bound
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.certify.proof.designs import FIRST_DESIGN, SequentialDesign
from rsmooth.certify.proof.joint import JointTest
from rsmooth.certify.proof.rules import GridRule, RadiusRule
from rsmooth.certify.proof.sequential import design
from rsmooth.records.files import read_log
from rsmooth.records.log import ABSTAIN, CertificationLog

N0 = 100
FACTORS = (0.5, 1.0, 2.0, 3.0)  # radii, in units of sigma
PUBLISHED_N = 100_000  # of the logs

Floats = NDArray[np.float64]


def rows_of_logs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per log, mode and radius, with the figures of both designs.

    ValueError unless each log has its sigma.
    """
    if len(options.logs) != len(options.sigmas):
        raise ValueError(
            f"expected one of --sigmas per log, got {len(options.sigmas)} for {len(options.logs)} "
            "logs; give them in the order of the logs"
        )
    found = []
    for path, sigma in zip(options.logs, options.sigmas, strict=True):
        log = read_log(path)
        p = vote_shares(log, sigma, published_alpha(Path(path), log, sigma, PUBLISHED_N))
        right = (log.predict == log.label) & (log.predict != ABSTAIN)
        for mode, rules in _modes(sigma, options):
            row = {"log": Path(path).name, "sigma": sigma, "mode": mode, "images": len(log)}
            found.append({**row, **_compare(*rules, p, right)})
            print(line(found[-1]), flush=True)
    return found


def vote_shares(log: CertificationLog, sigma: float, alpha: float) -> Floats:
    """The share of hits (N,) behind each published radius, which was certified at ``alpha``.

    An abstention counts as 1/2, the share nearest to what is tested, so that its samples are
    overstated.
    """
    hits = np.arange(PUBLISHED_N // 2, PUBLISHED_N + 1)
    radii = radius_from_counts(hits, PUBLISHED_N, sigma, alpha)
    first = int(np.flatnonzero(radii)[0])
    at = np.searchsorted(0.5 * (radii[first:-1] + radii[first + 1 :]), log.radius)
    return np.where(log.predict == ABSTAIN, 0.5, hits[first + at] / PUBLISHED_N)


def _modes(
    sigma: float, options: argparse.Namespace
) -> list[tuple[str, tuple[RadiusRule | GridRule, RadiusRule | GridRule]]]:
    n, alpha = options.n, options.alpha
    grid = [float(r) for r in np.arange(0.0, 3.0 * sigma + 1e-9, 0.25 * sigma)]
    before, now = FIRST_DESIGN, SequentialDesign()
    radii = [
        (
            f"radius {factor:g} sigma",
            (
                RadiusRule(sigma, factor * sigma, alpha, n, design=before),
                RadiusRule(sigma, factor * sigma, alpha, n, design=now),
            ),
        )
        for factor in FACTORS
    ]
    grids = (
        GridRule(sigma, grid, alpha, n, design=before),
        GridRule(sigma, grid, alpha, n, design=now),
    )
    return [*radii, ("grid of 0.25 sigma to 3 sigma", grids)]


def _compare(
    before: RadiusRule | GridRule, now: RadiusRule | GridRule, p: Floats, right: NDArray[np.bool_]
) -> dict[str, Any]:
    """Means over the images, exact for their shares p; accuracies at the radius that loses most."""
    shares, image = np.unique(p, return_inverse=True)
    found: dict[str, Any] = {}
    accuracy = {}
    for name, rule in (("before", before), ("now", now)):
        outcomes = [rule.test.outcome(share) for share in shares.tolist()]
        selection = [rule.design.expected_selection(share, N0) for share in shares.tolist()]
        samples = np.array([mean for mean, _ in outcomes])[image] + np.array(selection)[image]
        accuracy[name] = (np.array([held for _, held in outcomes])[image] * right[:, None]).mean(0)
        found |= {
            f"samples_{name}": float(samples.mean()),
            f"median_{name}": float(np.median(samples)),
            f"selection_{name}": float(np.array(selection)[image].mean()),
        }
    fixed = (_fixed_power(before.test, now.max_n, shares)[image] * right[:, None]).mean(0)
    worst = int(np.argmax(fixed - accuracy["now"]))
    bound = np.array([wald_bound(now.test, share) for share in shares.tolist()])[image].mean()
    return {
        **found,
        "saving": found["samples_before"] / found["samples_now"],
        "accuracy_fixed": float(fixed[worst]),
        "accuracy_before": float(accuracy["before"][worst]),
        "accuracy_now": float(accuracy["now"][worst]),
        "wald_bound": float(bound),
    }


def _fixed_power(test: JointTest, n: int, shares: Floats) -> Floats:
    """The chance (len(shares), tests) that one test of n samples certifies each radius."""
    needed = np.array([design(p0, (n,), test.alpha).accept[0] for p0 in test.p0])
    return np.asarray(scipy.stats.binom.sf(needed[None] - 1, n, shares[:, None]))


def table(rows: list[dict[str, Any]], made: dict[str, Any], options: argparse.Namespace) -> str:
    """The rows as Markdown, with what they mean."""
    return "\n".join(
        [
            f"Exact mean samples per image (median image), selection of at most {N0} included, at "
            f"most n={options.n:,}, alpha={options.alpha:g}, by the vote shares of published logs "
            f"({made['date']}, commit {made['commit']}). Before: {FIRST_DESIGN}. Now: "
            f"{SequentialDesign()}. Certified accuracy of fixed n, before and now, at the radius "
            "that loses most. The Wald bound is the fewest samples, without selection, of any "
            "tests with the level and the power of these that know each image's share beforehand.",
            "",
            "| log | mode | images | before | now | fewer by | fixed n | before | now | Wald bound "
            "| tests over it |",
            "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            *map(line, rows),
        ]
    )


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    test_now = row["samples_now"] - row["selection_now"]
    return (
        f"| {row['log']} | {row['mode']} | {row['images']:,} | "
        f"{row['samples_before']:,.0f} ({row['median_before']:,.0f}) | "
        f"{row['samples_now']:,.0f} ({row['median_now']:,.0f}) | {row['saving']:.2f}x | "
        f"{row['accuracy_fixed']:.4f} | {row['accuracy_before']:.4f} | {row['accuracy_now']:.4f} | "
        f"{row['wald_bound']:,.0f} | {test_now / row['wald_bound']:.2f} |"
    )
