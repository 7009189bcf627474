"""Warnings where they are due, and only there."""

import re

import pytest

from rsmooth.certify.proof.bounds import max_radius
from rsmooth.records.statement import Statement
from rsmooth.report.caveats import caveats, overstated
from rsmooth.report.runs import Run
from tests.records.by_hand import some_log
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of

FLOAT = {"distribution": {"name": "uniform", "half_width": 0.5}, "arithmetic": "float"}
VOTES = {"counts": [[9, 1]] * 4, "samples": [10] * 4}
NARROW = {"distribution": {"name": "uniform", "half_width": 0.25}, "arithmetic": "integer"}


@pytest.mark.parametrize(
    ("runs", "caveat"),
    [
        ([run_of("a", HEADER), run_of("b", {**HEADER, "n": 100})], r"differ in n \(100, 1000\)"),
        ([run_of("a", HEADER), run_of("b", {**HEADER, "alpha": 0.01})], "differ in alpha"),
        (
            [
                run_of("a", {"statement": Statement(alpha=0.01).record()}),
                run_of("b", {**HEADER, "alpha": 0.001}),
            ],
            r"differ in alpha \(0\.001, 0\.01\)",
        ),
        ([run_of("a", {**HEADER, "mode": "radius"})], "a: mode radius only decides radii"),
        (
            [run_of("a", {**HEADER, "mode": "anytime"}, **VOTES)],
            "a: in mode anytime the votes of an image stop where they decide, so shares of votes",
        ),
        ([run_of("a", {**HEADER, "target": "label"})], "misclassified counts as abstained"),
        ([run_of("a", {**HEADER, "noise": {"kind": "float"}})], "a: float noise"),
        (
            [run_of("a", {**HEADER, "model": {"function": {"name": "svm", "sha256": "none"}}})],
            "a: certifies the function svm, whose content the record does not state",
        ),
        ([run_of("a", {**UNIFORM, "noise": FLOAT})], "a: float noise"),
        ([run_of("a", {**UNIFORM, "noise": NARROW})], "a: 2 radii exceed what n=1000"),
        ([run_of("a"), run_of("b", HEADER)], "No configuration in the record of a: whether noise"),
        (
            [Run("a", linf_log(method="cascade", sound=False))],
            r"a: the rule behind its certificates \(cascade\) is known to prove nothing",
        ),
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
    assert not re.search(caveat, " ".join(caveats([run_of("a", HEADER, **VOTES)])))


def test_one_class_is_a_collapse_only_beside_others():
    """All images of one class, all right: nothing is wrong with the model."""
    alike = run_of("a", label=[7] * 4, predict=[7] * 4, correct=[1] * 4, radius=[0.1] * 4)
    assert "collapsed" not in " ".join(caveats([alike]))
    abstained = run_of("a", predict=[-1] * 4, correct=[0] * 4, radius=[0.0] * 4)
    assert "a: the model abstained on every image" in " ".join(caveats([abstained]))


def test_settings_are_compared_within_a_group():
    """An l1 run with another n, and a deterministic one without any, are not held against it."""
    runs = [run_of("a", HEADER), run_of("b", {**UNIFORM, "n": 100}), Run("c", linf_log())]
    text = " ".join(caveats([*runs, Run("d", linf_log())]))
    assert "differ in" not in text
    assert "No configuration" not in text


def test_overstated_counts_what_no_vote_can_give():
    cap = max_radius(0.25, 100_000, 0.001)
    assert f"{cap:.3g}" == "0.953"
    log = some_log(
        idx=[1, 2, 3],
        label=[0] * 3,
        predict=[0] * 3,
        radius=[0.953, cap, 0.9],
        correct=[1] * 3,
        time=[0] * 3,
    )
    assert overstated(log, cap) == 1
