"""A report from logs to files."""

import pytest

from rsmooth.report import report
from rsmooth.report.runs import TrainingTime
from tests.report.by_hand import HEADER, STRONG, write_run, write_tables


def test_two_published_logs_end_to_end(tmp_path):
    made = report(write_tables(tmp_path), tmp_path / "out", radii=[0.25, 0.5])
    weak, strong, best, constant = made.table.rows
    assert weak.accuracy == (0.5, 0.25, 0.0)
    assert strong.accuracy == (0.75, 0.75, 0.75)
    assert best.accuracy == (0.75, 0.75, 0.75)
    assert constant.accuracy == (0.75, 0.75, 0.75)
    assert (weak.acr, strong.acr, constant.acr) == pytest.approx((0.125, 0.475, 0.6))
    assert weak.accuracy_error[0] == pytest.approx(0.25)
    assert (weak.abstained, weak.certify_seconds, strong.certify_seconds) == (0.25, 40.0, 80.0)
    assert {path.name for path in made.files} == {
        "report.md",
        "report.csv",
        "report.tex",
        "curves.png",
        "curves.pdf",
    }
    assert (tmp_path / "out" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "curves.pdf").read_bytes().startswith(b"%PDF")
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.startswith(str(made))
    assert (
        "| weak | - | 4 | 50.0 ± 25.0 | 25.0 ± 21.7 | 0.0 ± 0.0 | 0.125 ± 0.075 | 25.0 | - | 40 s |"
        in text
    )
    assert "| strong | +25.0 ± 47.9 (p=1) | +50.0 ± 28.9 (p=0.5) | +75.0 ± 25.0 (p=0.25) |" in text
    assert "- strong: certified accuracy at r=0: +25 ± 48 points is within its error." in text
    assert "Only 4 images" in text
    assert "below the constant classifier" in text
    assert "No configuration in the record of weak, strong" in text


def test_run_folders_bring_votes_costs_and_provenance(tmp_path):
    folders = [
        write_run(tmp_path / "a", [1000, 900, 500, 700]),
        write_run(tmp_path / "b", [900, 900, 400, 400]),
    ]
    made = report([folders[0], folders[1] / "certificates.jsonl"], tmp_path / "out")
    assert [run.name for run in made.runs] == ["a", "b"]
    assert [row.training for row in made.table.rows[:2]] == [TrainingTime(7200.0), None]
    assert "| 2.0 h | 2 s |" in made.markdown
    assert (
        "- a: 4 images; σ 0.25, n0 10, n 1000, α 0.001, mode fixed, target predict, seed 0, data "
        "digits, split "
        "test, noise grid, fingerprint abc, model 123; false certificates: at most 0.004 "
        "expected, at most 1 with "
        "probability 99.9 %."
    ) in made.markdown
    assert "| a | 77.5 | 100.0 | 75.0 |" in made.markdown
    assert "| b | 0.4000 | 0.4000 | 0.6500 | 0.9000 | 0.9000 |" in made.markdown
    assert {"probabilities.png", "probabilities.pdf"} < {path.name for path in made.files}
    assert "probabilities.png" in (tmp_path / "out" / "report.md").read_text()


def test_runs_on_other_images_are_not_paired(tmp_path):
    first, second = write_tables(tmp_path)
    second.write_text(STRONG.rsplit("3\t", 1)[0])
    text = report([first, second]).markdown
    assert (
        "strong cannot be paired with weak: 4 and 3 images, of which idx 3 only in the first"
        in text
    )
    assert "are not on the same images" in text
    assert "upper envelope" not in text


def test_false_certificates_count_every_test_of_a_run(tmp_path):
    write_run(
        tmp_path / "twice", [1000, 900, 500, 700], {**HEADER, "alpha": 0.001, "alpha_spent": 0.003}
    )
    assert "false certificates: at most 0.012 expected" in report([tmp_path / "twice"]).markdown


def test_runs_on_one_image_have_a_report(tmp_path):
    text = report([write_run(tmp_path / "a", [900]), write_run(tmp_path / "b", [800])]).markdown
    assert "b cannot be paired with a: one image gives no standard error." in text
