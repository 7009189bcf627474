"""The published tables: they parse, their numbers are possible, and reports read all of them."""

from __future__ import annotations

import itertools

import pytest

from rsmooth.benchmarks.beside import with_curves
from rsmooth.benchmarks.reference import find, read_table, table_names


@pytest.mark.parametrize("name", table_names())
def test_tables_parse_and_hold_possible_numbers(name: str) -> None:
    rows = read_table(name)
    assert rows
    for row in rows:
        assert row.dataset in ("cifar10", "imagenet")
        assert all((row.method, row.kind, row.source))
        assert row.acr is None or 0.05 < row.acr < 1.2
        assert row.sigma is None or row.sigma in (0.12, 0.25, 0.5, 1.0)
        assert row.images in (None, 427, 500, 10_000)
        assert all(0 <= radius <= 3.5 for radius in row.accuracy)
        assert all(3 <= percent <= 100 for percent in row.accuracy.values())
        assert row.accuracy or row.acr is not None


@pytest.mark.parametrize("name", table_names())
def test_certified_accuracy_falls_with_the_radius_and_stays_below_its_cap(name: str) -> None:
    for row in read_table(name):
        if "clean accuracy" in row.kind:  # other runs at other radii
            continue
        percents = [row.accuracy[radius] for radius in sorted(row.accuracy)]
        assert percents == sorted(percents, reverse=True)
        if row.sigma is not None:
            assert max(row.accuracy, default=0) <= 3.8115 * row.sigma


def test_average_certified_radius_is_no_less_than_the_steps_of_its_accuracies() -> None:
    """ACR is the integral of the accuracy curve; sums over a grid bound it on both sides."""
    compared = 0
    for name in table_names():
        for row in read_table(name):
            if row.acr is None or len(row.accuracy) < 2 or row.kind not in ("run", "later"):
                continue
            radii = sorted(row.accuracy)
            below = sum((b - a) * row.accuracy[b] / 100 for a, b in itertools.pairwise(radii))
            above = sum((b - a) * row.accuracy[a] / 100 for a, b in itertools.pairwise(radii))
            rest = row.accuracy[radii[-1]] / 100 * (3.8115 * (row.sigma or 0) - radii[-1])
            assert below - 0.002 <= row.acr <= above + rest + 0.002, (name, row.label)
            compared += 1
    assert compared > 100


def test_every_table_reaches_a_report() -> None:
    reached = {row.table for dataset in ("cifar10", "imagenet") for row in find(dataset)}
    assert reached == set(table_names())


def test_rows_are_found_by_subset_and_sigma() -> None:
    rows = find("cifar10", images=500, sigmas=[0.25])
    assert {row.images for row in rows} <= {500, None}
    assert {row.sigma for row in rows} == {0.25, None}  # envelopes span all sigmas
    run = next(row for row in rows if row.run == "P2 m8 e255" and row.accuracy.get(0.5))
    assert (run.acr, run.accuracy[0.5]) == (0.537, 55.6)
    with pytest.raises(ValueError, match="expected a reference table, got 'cifar'"):
        read_table("cifar")


def test_rows_without_a_curve_stay_out_of_the_printed_table() -> None:
    rows = find("cifar10", images=500, sigmas=[0.25])
    shown = with_curves(rows, [0.0, 0.25, 0.5])
    assert {"cifar10_runs_500", "cifar10_envelopes"} <= {row.table for row in shown}
    assert not {"cifar10_acr_grid_500", "cifar10_best_runs"} & {row.table for row in shown}
    assert with_curves(rows, [0.0, 0.123]) == []
