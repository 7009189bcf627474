"""Numbers on the command lines of measurements, refused before any work where they make no sense.

    parser.add_argument("--batch", type=count)

Zero turns have no median, and a batch of no images is never the last.
"""

from __future__ import annotations

import argparse
import math


def count(text: str) -> int:
    """An integer from 1 on.

    count("256")
    """
    return _integer(text, 1)


def count_or_none(text: str) -> int:
    """An integer from 0 on, such as a number of workers.

    count_or_none("0")
    """
    return _integer(text, 0)


def amount(text: str) -> float:
    """A finite number above 0.

    amount("0.25")
    """
    return _number(text, math.inf, "a finite number > 0")


def probability(text: str) -> float:
    """A number between 0 and 1, without these.

    probability("0.001")
    """
    return _number(text, 1.0, "a number between 0 and 1")


def _integer(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"expected an integer >= {least}, got {text!r}")
    return value


def _number(text: str, below: float, words: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < below:
        raise argparse.ArgumentTypeError(f"expected {words}, got {text!r}")
    return value
