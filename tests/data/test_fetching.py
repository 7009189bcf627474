"""What torchvision says of files that are absent or harmed, in words that help."""

from __future__ import annotations

import pytest

from rsmooth.data.fetching import opened


def opening(error):
    def make():
        if error is not None:
            raise error
        return 7

    return opened(make, "SET", "set.bin", "set.zip", "data")


def test_what_is_there_is_returned():
    assert opening(None) == 7


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (
            OSError("no route"),
            OSError,
            "expected to fetch SET into data, got no route; fetch set.zip",
        ),
        (RuntimeError("Error downloading x"), OSError, "expected to fetch SET into data"),
        (
            RuntimeError("Dataset not found or corrupted"),
            FileNotFoundError,
            r"SET \(set.bin, unharmed\) in data; give",
        ),
        (AssertionError("13"), ValueError, r"cannot be read \(AssertionError: 13\); fetch set.zip"),
        (ValueError("shape"), ValueError, "cannot be read"),
        (RuntimeError("shape"), ValueError, "cannot be read"),
    ],
)
def test_errors_say_what_to_do(error, kind, words):
    with pytest.raises(kind, match=words):
        opening(error)
