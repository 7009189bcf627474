"""The vocabulary of votes: an algorithm asks in it, and needs no engine to be run."""

from __future__ import annotations

import numpy as np
import pytest

from rsmooth.certify import ABSTAIN
from rsmooth.certify.cohen import certification, prediction
from rsmooth.certify.proof.rules import FixedRule
from rsmooth.certify.votes.requests import Outcome, Procedure, VoteRequest


def answered(procedure: Procedure, votes: list[list[int]]) -> tuple[list[VoteRequest], Outcome]:
    """What a procedure asks for, and its result, if these are the answers."""
    asked = [next(procedure)]
    answers = [np.array(answer, dtype=np.int64) for answer in votes]
    asked += [procedure.send(answer) for answer in answers[:-1]]
    with pytest.raises(StopIteration) as end:
        procedure.send(answers[-1])
    return asked, end.value.value


def test_certification_by_hand() -> None:
    rule = FixedRule(0.25, 1000, 0.001)
    asked, outcome = answered(certification(rule, 20), [[3, 16, 1], [4, 990, 6]])
    assert asked == [VoteRequest("select", 20), VoteRequest("estimate", 1000)]
    assert (outcome.label, outcome.samples, outcome.invalid) == (1, 1000, 6)
    decision = rule.decide([990])
    assert decision is not None
    assert outcome.radius == decision.radius
    assert outcome.counts.tolist() == [4, 990]
    assert outcome.selection is not None
    assert outcome.selection.tolist() == [3, 16]
    assert outcome.looks == ((1000, 990),)
    assert outcome.p_value is None


def test_a_given_class_needs_no_selection() -> None:
    asked, outcome = answered(certification(FixedRule(0.25, 1000, 0.001), 20, 0), [[4, 996, 0]])
    assert asked == [VoteRequest("estimate", 1000)]
    assert (outcome.label, outcome.radius, outcome.selection) == (ABSTAIN, 0.0, None)


def test_prediction_by_hand() -> None:
    asked, outcome = answered(prediction(100, 0.001), [[80, 15, 5]])
    assert asked == [VoteRequest("predict", 100)]
    assert outcome.label == 0
    assert outcome.p_value is not None
    assert outcome.p_value < 0.001
    _, close = answered(prediction(100, 0.001), [[50, 10, 40]])
    assert close.label == ABSTAIN, "expected invalid copies to count as an answer of their own"
