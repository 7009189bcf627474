"""Sections one by one; the whole document: test_document.py."""

from dataclasses import replace

from rsmooth.records.metrics import high_probability_accuracy
from rsmooth.records.statement import Statement
from rsmooth.report.blocks import to_markdown
from rsmooth.report.runs import Run
from rsmooth.report.sections import (
    differences_section,
    intervals_section,
    overview,
    provenance_section,
    table_section,
    votes_section,
)
from rsmooth.report.tables import build_table
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of

UNSOUND = Run("x", linf_log(method="cascade", sound=False))


def test_one_table_needs_no_overview():
    table = build_table([run_of()], [0.25])
    assert overview([table]) == []
    assert "Certified at l2 radii, probabilistic" in to_markdown(overview([table, table]))


def test_how_sure_certificates_are_is_said_of_each_run_where_it_differs():
    same = [run_of("a", HEADER), run_of("b", HEADER)]
    text = to_markdown(table_section(same, build_table(same, [])))
    assert "Certificates: probabilistic (alpha 0.001), gaussian smoothing." in text
    other = [*same, run_of("c", {**HEADER, "alpha": 0.01}), run_of("d")]
    assert (
        "Certificates: a, b: probabilistic (alpha 0.001), gaussian smoothing; c: probabilistic "
        "(alpha 0.01), gaussian smoothing; d: probabilistic (alpha not recorded), gaussian "
        "smoothing."
    ) in to_markdown(table_section(other, build_table(other, [])))


def test_no_run_is_best_where_nothing_is_certified():
    runs = [run_of("a"), run_of("b")]
    text = to_markdown(table_section(runs, build_table(runs, [0.25, 9.0])))
    assert "flatters it: r=0.25 a." in text
    assert "Best run" not in to_markdown(table_section(runs, build_table(runs, [9.0])))


def test_false_certificates_are_taken_off_where_alpha_is_known():
    """With the alpha of both tests where there were two."""
    twice = run_of("a", {**HEADER, "alpha_spent": 0.2})
    text = to_markdown(intervals_section([twice, run_of("b")], build_table([twice], [0.25])))
    least = text.split("### True of these images with probability 99.9 %")[1]
    values = high_probability_accuracy(twice.log, [0.0, 0.25], 0.2)
    assert f"| a | {100 * values[0]:.1f} | {100 * values[1]:.1f} |" in least
    assert values[0] < high_probability_accuracy(twice.log, 0.0, 0.001)
    assert values[0] == high_probability_accuracy(twice.log, 0.0)
    assert "| b |" not in least


def test_what_is_not_sound_has_no_interval_and_no_difference():
    table = build_table([UNSOUND], [1 / 255])
    assert intervals_section([UNSOUND], table) == []
    runs = [UNSOUND, Run("a", linf_log())]
    assert differences_section(runs, table) == []
    assert "| x" not in to_markdown(intervals_section(runs, table))


def test_no_votes_no_section():
    assert votes_section([]) == []


def test_votes_of_what_is_not_sound_are_marked():
    said = {**HEADER, "statement": Statement(alpha=0.001, sound=False).record()}
    votes = {"counts": [[9, 1]] * 4, "samples": [10] * 4}
    text = to_markdown(votes_section([run_of("x", said, **votes)]))
    assert text.count("| x (not sound) |") == text.count("| x") == 2


def test_provenance_says_what_the_record_says():
    text = to_markdown(provenance_section([run_of("a", UNIFORM), UNSOUND, run_of("c")]))
    assert "- a: 4 images; uniform λ=0.5, n0 10, n 1000, α 0.001, mode fixed" in text
    assert "- x: 4 images; cascade.\n" in text
    assert "- c: 4 images; configuration not recorded.\n" in text
    stray = replace(UNSOUND, log=replace(UNSOUND.log, provenance={**UNSOUND.log.provenance}))
    stray.log.provenance["alpha"] = 0.001
    assert "α" not in to_markdown(provenance_section([stray]))
