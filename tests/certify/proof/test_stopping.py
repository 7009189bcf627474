"""The contract of stopping rules: a pure decision, from hits that a stream can have."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

from rsmooth.certify.proof.rules import AnytimeRule, GridRule, RadiusRule
from rsmooth.certify.proof.stopping import Decision, Hits, StoppingRule


class Unanimous(StoppingRule):
    """Certifies at the first look without a miss, and abstains at the last one."""

    mode: ClassVar[str] = "unanimous"

    @property
    def looks(self) -> tuple[int, ...]:
        return (10, 30)

    def _judge(self, hits: Hits) -> Decision | None:
        assert hits.dtype == np.int64
        samples = self.looks[len(hits) - 1]
        if hits[-1] == samples:
            return Decision(1.0, True, samples)
        return Decision(0.0, False, samples) if samples == 30 else None


def test_a_rule_goes_on_or_decides() -> None:
    rule = Unanimous()
    assert rule.decide([10]) == Decision(radius=1.0, certified=True, samples=10)
    assert rule.decide([9]) is None
    assert rule.decide([9, 29]) == Decision(0.0, False, 30)
    assert rule.decide((0, 0)) == rule.decide([0, 0]) == Decision(0.0, False, 30)


def test_a_rule_has_to_say_its_looks_and_its_judgement() -> None:
    with pytest.raises(TypeError, match="_judge"):
        StoppingRule()  # type: ignore[abstract]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([], "the hits at 1..2 looks"),
        ([1, 2, 3], "the hits at 1..2 looks"),
        ([[1, 2]], "the hits at 1..2 looks"),
        ([-1], "count each look's hits from the first sample on"),
        ([11], r"at the sample sizes \(10,\), got \[11\]"),
        ([5, 4], r"at the sample sizes \(10, 30\)"),
        ([5, 26], "count each look's hits"),
    ],
)
def test_hits_that_no_stream_has_are_refused(path: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Unanimous().decide(path)


@pytest.mark.parametrize("path", [[], [33], [-1], [5, 4], [5, 19], list(range(40))])
@pytest.mark.parametrize(
    "rule",
    [
        RadiusRule(0.5, 0.5, 0.001, 5_000),
        GridRule(0.5, [0.0, 0.5, 1.0], 0.001, 5_000),
        AnytimeRule(0.5, 0.001, 5_000, 0.02),
    ],
    ids=lambda rule: rule.mode,
)
def test_the_sequential_modes_refuse_them_too(rule: StoppingRule, path: list[int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        rule.decide(path)
