"""Values of options: what is read, and what is refused in which words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rsmooth.plumbing.values import (
    names,
    numbers,
    one_path,
    paths,
    pixel_value,
    pixel_values,
    plain,
    switch,
    whole_number,
)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (pixel_value, "64/255", 64 / 255),
        (pixel_value, 1, 1.0),
        (pixel_values, "0.25,1/2", (0.25, 0.5)),
        (pixel_values, 0.25, (0.25,)),
        (pixel_values, ["1/2"], (0.5,)),
        (numbers, "3,5", (3, 5)),
        (numbers, 3, (3,)),
        (numbers, "[]", ()),
        (numbers, ["1e3", 2.0], (1000, 2)),
        (names, "a, b", ("a", "b")),
        (whole_number, "1e5", 100_000),
        (whole_number, 3.0, 3),
        (whole_number, str(2**63 + 1), 2**63 + 1),
        (switch, "True", True),
        (switch, "no", False),
        (paths, '["a", "b"]', (Path("a"), Path("b"))),
        (paths, "a", (Path("a"),)),
    ],
)
def test_a_value_is_read(read: Callable[[Any], Any], value: Any, expected: Any) -> None:
    found = plain(read(value))
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("read", "value", "said"),
    [
        (pixel_value, "a/b", "expected a number such as 0.25 or 64/255, got 'a/b'"),
        (pixel_value, "1/0", "got '1/0'"),
        (pixel_value, True, "got True"),
        (pixel_value, 10**400, "expected a number such as 0.25 or 64/255, got 1000"),
        (pixel_value, "nan", "got 'nan'"),
        (pixel_values, "1,x", "got 'x'"),
        (numbers, "3,y", "expected whole numbers such as 3,5,8, got '3,y'"),
        (numbers, [1.5], "expected whole numbers"),
        (numbers, 1.5, "expected whole numbers such as 3,5,8, got 1.5"),
        (numbers, None, "expected whole numbers such as 3,5,8, got None"),
        (numbers, [True], "expected whole numbers such as 3,5,8, got [True]"),
        (numbers, {1: 2}, "expected whole numbers such as 3,5,8, got {1: 2}"),
        (pixel_values, None, "expected a number such as 0.25 or 64/255, got None"),
        (pixel_values, {0.25: 1}, "expected a number such as 0.25 or 64/255, got {0.25: 1}"),
        (names, 3, "expected names such as a,b, got 3"),
        (whole_number, "1.5", "expected a whole number, got '1.5'"),
        (whole_number, 1.5, "expected a whole number, got 1.5"),
        (whole_number, True, "expected a whole number, got True"),
        (switch, "maybe", "expected true or false, got 'maybe'"),
        (switch, 1, "expected true or false, got 1"),
        (paths, ["a", ""], "expected a path, got an empty text"),
        (one_path, "", "expected a path, got an empty text"),
        (one_path, 1e3, "expected a path, got 1000.0; put a name like a number in quotes"),
        (paths, 3, "expected a list of paths, got 3"),
        (paths, [1], "expected a list of paths, got [1]"),
        (paths, "[a", "expected a list of paths, got '[a'"),
    ],
)
def test_a_value_is_refused(read: Callable[[Any], Any], value: Any, said: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011
        read(value)
    assert said in str(error.value)
