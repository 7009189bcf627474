"""Columns are found by their names, radii in any spelling."""

import pytest

from rsmooth.report import build_table
from rsmooth.report.columns import places_of, radii_of
from rsmooth.report.runs import Run
from tests.report.by_hand import linf_log, run_of


def test_columns_are_found_by_name():
    table = build_table([run_of()], [0.25, 0.5])
    assert places_of(None, table) == list(range(10))
    assert places_of(["ACR", "r=0.25", "0.50", "clean"], table) == [0, 6, 4, 5, 3]
    assert places_of(["method", "ACR"], table) == [0, 6]
    assert places_of(["2/255"], build_table([Run("i", linf_log())], [2 / 255])) == [0, 4]
    assert radii_of(["clean", "0.25", "r=2/255", "ACR"]) == [0.25, 2 / 255]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (["accuracy"], "expected columns among method, noise, .* got 'accuracy'$"),
        (["0.3"], "got '0.3'; add the radius with radii"),
        ([], "got none; name some"),
    ],
)
def test_other_columns_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        places_of(columns, build_table([run_of()], [0.25]))
