"""A report from logs to files."""

import csv

import pytest

from rsmooth.records.converting import in_norm
from rsmooth.records.files import write_log
from rsmooth.records.log import CertificationLog
from rsmooth.report import report
from rsmooth.report.formats import to_csv
from rsmooth.report.training_time import TrainingTime
from tests.full_disk import small_files_only
from tests.report.by_hand import (
    HEADER,
    STRONG,
    UNIFORM,
    linf_log,
    run_of,
    write_run,
    write_tables,
    write_three,
)

FILES = (("report", "csv"), ("report", "tex"), ("curves", "png"), ("curves", "pdf"))


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
        "differences.png",
        "differences.pdf",
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
    assert [row.training for row in made.table.rows[:2]] == [TrainingTime(wall=7200.0), None]
    assert "| 2.0 h | 2 s |" in made.markdown
    assert (
        "- a: 4 images; σ=0.25, n0 10, n 1000, α 0.001, mode fixed, target predict, seed 0, data "
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
    made = report([tmp_path / "twice"])
    assert "false certificates: at most 0.012 expected" in made.markdown
    assert "Certificates: probabilistic (alpha 0.003), gaussian smoothing." in made.markdown
    assert to_csv(made.table).splitlines()[1].startswith("twice,l2,probabilistic,0.003,")


def test_what_runs_state_decides_where_they_are_shown(tmp_path):
    """The review's two cases: an l1 log by uniform noise, and an linf log by interval bounds."""
    made = report(write_three(tmp_path), tmp_path / "out", linf=[2 / 255], dimension=64)
    assert [(group.table.norm, group.table.kind) for group in made.groups] == [
        ("l2", "probabilistic"),
        ("l1", "probabilistic"),
        ("linf", "deterministic"),
    ]
    assert [[row.name for row in group.table.rows] for group in made.groups] == [
        ["gauss", "constant classifier"],
        ["uniform", "constant classifier"],
        ["ibp", "constant classifier"],
    ]
    l2, l1, linf = made.markdown.split("## Certified at ")[1:]
    assert l2.startswith("l2 radii, probabilistic\n")
    assert "Certificates: probabilistic (alpha 0.001), gaussian smoothing." in l2
    assert "certified at that l2 radius, and so at that l1 radius" in l2
    assert l1.startswith("l1 radii, probabilistic\n")
    assert "Certificates: probabilistic (alpha 0.001), uniform smoothing." in l1
    assert "certified at that l1 radius;" in l1
    assert "| uniform | uniform λ=0.5 | 4 |" in l1
    assert linf.startswith("linf radii, deterministic\n")
    assert "Certificates: deterministic, ibp." in linf
    assert "certified at that linf radius." in linf
    assert "| r=1/255 | r=2/255 | ACR |" in linf
    cells = "100.0 ± 0.0 | 75.0 ± 21.7 | 50.0 ± 25.0 | - | 0.0 | - | 8 s |"
    assert f"| ibp | - | 4 | {cells}" in linf
    for other in (l1, linf):
        assert "and so at that" not in other
        assert "certified at that l2 radius" not in other
    assert "each norm and kind has a table of its own" in made.markdown
    assert made.markdown.count("\n## Provenance") == 1
    assert "- ibp: 4 images; ibp.\n" in made.markdown
    assert "- uniform: 4 images; uniform λ=0.5, n0 10, n 1000, α 0.001, mode fixed" in made.markdown
    assert made.group("linf", "deterministic") is made.groups[2]
    assert made.group("l2", "deterministic") is None


def test_kinds_of_one_norm_are_apart(tmp_path):
    sure = CertificationLog.deterministic([0], [0], [0.3], norm="l2", method="lipschitz", idx=[0])
    write_log(sure, tmp_path / "sure")
    write_log(run_of(provenance=HEADER).log, tmp_path / "gauss")
    made = report([tmp_path / "sure", tmp_path / "gauss"])
    assert [group.table.kind for group in made.groups] == ["deterministic", "probabilistic"]
    assert "## Certified at l2 radii, deterministic" in made.markdown


def test_groups_have_files_of_their_own(tmp_path):
    made = report(write_three(tmp_path), tmp_path / "out", linf=[2 / 255], dimension=64)
    assert {path.name for path in made.files} == {
        "report.md",
        "report.csv",
        "report.tex",
        "curves.png",
        "curves.pdf",
        "linf.csv",
        "kinds.csv",
        *(f"{name}-l1-probabilistic.{end}" for name, end in FILES),
        *(f"{name}-linf-deterministic.{end}" for name, end in FILES),
    }
    assert made.files[0] == tmp_path / "out" / "report.md"
    text = made.files[0].read_text()
    assert "![Certified accuracy against l2 radius](curves.png)" in text
    linf = "curves-linf-deterministic.png"
    assert f"![Certified accuracy against linf radius]({linf})" in text
    with (tmp_path / "out" / "report-linf-deterministic.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["norm"], row["kind"], row["alpha"], row["certificate"]) == (
        "linf",
        "deterministic",
        "",
        "ibp",
    )
    assert (row["certified@2/255"], row["acr"], row["sigma"]) == ("0.5", "", "")
    tex = (tmp_path / "out" / "report-linf-deterministic.tex").read_text()
    assert r"Certified at $\ell_\infty$ radii, deterministic." in tex


def test_envelopes_and_differences_stay_within_their_group(tmp_path):
    paths = write_three(tmp_path)
    more = [tmp_path / "gauss2.tsv", tmp_path / "ibp2.tsv"]
    write_log(run_of(provenance=HEADER, radius=[0.3] * 4).log, more[0])
    write_log(linf_log([1 / 255] * 4), more[1])
    made = report([*paths, *more])
    l2, l1, linf = made.markdown.split("## Certified at ")[1:]
    assert [row.name for row in made.groups[2].table.rows] == [
        "ibp",
        "ibp2",
        "upper envelope",
        "constant classifier",
    ]
    assert made.groups[2].table.rows[2].accuracy == (1.0, 1.0, 0.5)
    assert "Paired differences to gauss\n" in l2
    assert "Paired differences" not in l1
    assert "Paired differences to ibp\n" in linf
    assert "| ibp2 | +0.0 ± 0.0 (p=1) | +25.0 ± 25.0 (p=1) | -50.0 ± 28.9 (p=0.5) |\n" in linf
    assert "average certified radius" not in linf
    assert "True of these images" in l2
    assert "True of these images" not in linf


def test_what_is_not_sound_is_marked_and_bracketed(tmp_path):
    logs = {
        "claimed": linf_log([2 / 255] * 4, method="cascade, published rule", sound=False),
        "a": linf_log(),
        "b": linf_log([1 / 255] * 4),
    }
    for name, log in logs.items():
        write_log(log, tmp_path / name)
    made = report([tmp_path / name for name in logs], tmp_path / "out", linf=[2 / 255])
    shown = "(100.0 ± 0.0)"
    row = f"| claimed (not sound) | - | 4 | 100.0 ± 0.0 | {shown} | {shown} | - |"
    assert row in made.markdown
    assert f"| claimed (not sound) | 100.0 ± 0.0 | {shown} |" in made.markdown
    assert made.table.rows[3].accuracy == (1.0, 1.0, 0.5)  # the envelope
    assert "claimed: the rule behind its certificates (cascade, published rule)" in made.markdown
    assert "Paired differences to a\n" in made.markdown
    assert "claimed: deterministic, not sound, cascade, published rule" in made.markdown
    assert "false certificates" not in made.markdown


def test_a_converted_log_says_so_and_stands_with_its_new_norm(tmp_path):
    gauss = run_of(provenance=HEADER).log
    write_log(in_norm(gauss, "linf", 64), tmp_path / "converted")
    write_log(run_of(provenance={**UNIFORM, "norm": "l1"}).log, tmp_path / "other")
    made = report([tmp_path / "converted", tmp_path / "other"])
    assert [group.table.norm for group in made.groups] == ["linf", "l1"]
    assert "gaussian smoothing, converted from l2 by containment." in made.markdown
    assert "converted from l2 to linf over 64 values" in made.markdown


def test_further_sections_stand_before_the_figures(tmp_path):
    made = report(write_tables(tmp_path)).write(tmp_path / "out", ["## More\n"])
    text = (tmp_path / "out" / "report.md").read_text()
    assert text.startswith(f"{made}\n## More\n\n![Certified accuracy")


def test_runs_on_one_image_have_a_report(tmp_path):
    text = report([write_run(tmp_path / "a", [900]), write_run(tmp_path / "b", [800])]).markdown
    assert "b cannot be paired with a: one image gives no standard error." in text


@pytest.mark.parametrize("option", ["radii", "linf"])
@pytest.mark.parametrize("radius", [float("nan"), float("inf"), -0.1])
def test_what_is_no_radius_is_refused(tmp_path, option, radius):
    with pytest.raises(ValueError, match="expected a finite radius >= 0"):
        report(write_three(tmp_path), **{option: [0.25, radius]})


def test_a_report_that_does_not_fit_leaves_the_old_one(tmp_path):
    made = report(write_tables(tmp_path))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.csv").write_text("old")
    with small_files_only(20_000), pytest.raises(OSError, match=r"too large; .*out"):
        made.write(tmp_path / "out", ["x" * 30_000])
    with small_files_only(200), pytest.raises(OSError, match=r"too large; .*out"):
        made.write(tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert (tmp_path / "out" / "report.csv").read_text() == "old"
    assert not any(name.endswith(".tmp") for name in written)
    assert all(path.stat().st_size for path in (tmp_path / "out").iterdir())


def test_a_unit_of_several_words_makes_files_whose_names_are_links(tmp_path):
    unit = {"norm": "other", "unit": "degrees of/rotation", "kind": "probabilistic", "method": "x"}
    write_log(run_of().log, tmp_path / "l2.tsv")
    write_log(run_of(provenance={"statement": unit}).log, tmp_path / "turned.tsv")
    made = report([tmp_path / "l2.tsv", tmp_path / "turned.tsv"]).write(tmp_path / "out")
    assert all(path.parent == tmp_path / "out" and " " not in path.name for path in made.files)
