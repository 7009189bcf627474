"""Warnings where they are due, and only there."""

import re

import pytest

from rsmooth.report.caveats import caveats
from tests.report.by_hand import HEADER, run_of


@pytest.mark.parametrize(
    ("runs", "caveat"),
    [
        ([run_of("a", HEADER), run_of("b", {**HEADER, "n": 100})], r"differ in n \(100, 1000\)"),
        ([run_of("a", HEADER), run_of("b", {**HEADER, "alpha": 0.01})], "differ in alpha"),
        ([run_of("a", {**HEADER, "mode": "radius"})], "a: mode radius only decides radii"),
        ([run_of("a", {**HEADER, "target": "label"})], "misclassified counts as abstained"),
        ([run_of("a", {**HEADER, "noise": {"kind": "float"}})], "a: float noise"),
        (
            [run_of("a", {**HEADER, "dataset": {"images": 5}})],
            "a: unfinished, 4 of 5 images are there",
        ),
        (
            [run_of("a", {**HEADER, "sigma": 0.1})],
            "a: 2 radii exceed what n=1000 samples can certify",
        ),
        (
            [run_of("a", predict=[0] * 4, correct=[1, 1, 0, 0])],
            "a: the model has collapsed, it predicts 1 class",
        ),
        (
            [run_of("a", radius=[0.4, 0.1, 0.1, 0.1])],
            r"a: below the constant classifier from r=0\.1",
        ),
    ],
)
def test_caveats_are_given_where_due(runs, caveat):
    assert re.search(caveat, " ".join(caveats(runs)))
    assert not re.search(caveat, " ".join(caveats([run_of("a", HEADER)])))
