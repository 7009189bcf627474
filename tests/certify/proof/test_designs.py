"""The designs of the sequential tests: exact levels, the selection, what records say of them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special

from rsmooth.certify.proof.designs import FIRST_DESIGN, SequentialDesign
from rsmooth.certify.proof.joint import joint_design
from rsmooth.certify.proof.rules import RadiusRule
from rsmooth.certify.proof.sequential import default_looks

GRID = special.ndtr(np.arange(0.0, 3.01, 0.25)).tolist()
DESIGNS = [SequentialDesign(), FIRST_DESIGN, SequentialDesign(start=16, growth=1.1, power_loss=0.1)]


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("n", [20_000, 100_000])
def test_the_level_is_exact_though_no_stream_gives_up(design: SequentialDesign, n: int) -> None:
    joint = joint_design(
        GRID,
        design.looks(n),
        0.001,
        final_share=design.final_share,
        power_loss=design.power_loss,
    )
    for share in GRID:
        error = joint.type_one_error(share)
        assert error <= 0.001
        assert error > (0.85 if share < 0.98 else 0.3) * 0.001
        assert joint.type_one_error(share - 1e-3) < error


def test_the_present_design_takes_fewer_samples_for_next_to_no_power() -> None:
    """Over images that are spread evenly over radii from none to four sigma."""
    shares = special.ndtr(np.linspace(-1.0, 4.0, 100)).tolist()
    for factor in (0.5, 1.0, 2.0):
        found = []
        for design in (FIRST_DESIGN, SequentialDesign()):
            test = RadiusRule(1.0, factor, 0.001, 100_000, design=design).test
            outcomes = [test.outcome(share) for share in shares]
            samples = [
                mean + design.expected_selection(share, 100)
                for (mean, _), share in zip(outcomes, shares, strict=True)
            ]
            found.append((np.mean(samples), np.mean([held[0] for _, held in outcomes])))
        (before, held_before), (now, held_now) = found
        assert before / now > 1.15
        assert held_before - 0.001 < held_now < held_before


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8, 1.0])
def test_the_selections_mean_is_that_of_walking_through_every_stream(p: float) -> None:
    design = SequentialDesign(selection=(4, 7), lead=3)
    mean = 0.0
    for votes in itertools.product((0, 1), repeat=12):
        chance = p ** sum(votes) * (1 - p) ** (12 - sum(votes))
        for size in design.selection_sizes(12):
            hits = sum(votes[:size])
            if size == 12 or design.selects(np.array([hits, size - hits, 0])):
                mean += chance * size
                break
    assert design.expected_selection(p, 12) == pytest.approx(mean, rel=1e-12)


def test_a_selection_ends_at_a_lead_and_never_beyond_n0() -> None:
    design = SequentialDesign()
    assert design.selection_sizes(100) == (16, 32, 64, 100)
    assert design.selection_sizes(32) == (16, 32)
    assert design.selection_sizes(10) == (10,)
    assert design.selects(np.array([0, 16, 0]))
    assert design.selects(np.array([24, 8]))
    assert not design.selects(np.array([23, 9]))
    assert design.selects(np.array([16])), "a single class has no second"
    assert FIRST_DESIGN.selection_sizes(100) == (100,)


def test_a_record_gives_the_design_back() -> None:
    for design in DESIGNS:
        assert SequentialDesign.of_record(design.record()) == design
    assert FIRST_DESIGN.looks(5_000) == default_looks(5_000)
    assert SequentialDesign(start=20, growth=1.5).looks(100) == (20, 30, 45, 68, 100)
    good = FIRST_DESIGN.record()
    for record in ({**good, "weights": "x"}, {**good, "growth": "x"}, {"start": 32}, [1], "abc", 7):
        with pytest.raises(ValueError, match="as this version writes it"):
            SequentialDesign.of_record(record)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 32.5}, "an integer start"),
        ({"lead": 1.5}, "an integer lead"),
        ({"selection": (16.5,)}, "an integer selection size"),
        ({"growth": 1.0}, "growth > 1"),
        ({"growth": float("nan")}, "growth > 1"),
        ({"growth": float("inf")}, "growth > 1"),
        ({"start": 0}, "start >= 1"),
        ({"final_share": 0.0}, "final share"),
        ({"power_loss": 0.5}, "power loss"),
        ({"selection": (32, 16)}, "growing selection sizes"),
        ({"selection": (0,)}, "growing selection sizes"),
        ({"lead": 0}, "lead >= 1"),
    ],
)
def test_impossible_designs_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequentialDesign(**options)  # type: ignore[arg-type]
