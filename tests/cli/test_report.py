"""``rsmooth report``: runs and published logs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.cli import main
from tests.cli.helpers import error_of


def test_report_sets_runs_and_published_logs_side_by_side(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = tmp_path / "sigma_0.25"
    published.write_text(
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.457\t1\t0:00:14.172309\n"
        "20\t2\t-1\t0.0\t0\t0:00:15\n"
    )
    assert (
        main(
            [
                "report",
                str(run),
                str(published),
                "--radii",
                "0.25,0.5",
                "--out",
                str(tmp_path / "report"),
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "| sigma_0.25 |" in printed
    assert "| r=0.25 | r=0.5 |" in printed
    assert {"report.md", "report.csv", "curves.png"} <= {
        p.name for p in (tmp_path / "report").iterdir()
    }


def test_a_report_for_a_paper_and_a_page(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes((run / "certificates.jsonl").read_bytes())
    options = ["--names", "ours,theirs", "--baseline", "theirs", "--title", "T"]
    paper = ["--columns", "clean,0.25", "--width", "3.25", "--out", str(tmp_path / "out")]
    page = tmp_path / "pages" / "r.html"
    assert main(["report", str(run), str(other), *options, *paper, "--html", str(page)]) == 0
    printed = capsys.readouterr().out
    assert f"wrote {page}" in printed
    assert "### Paired differences to theirs" in printed
    assert "| clean | r=0.25 |" in printed
    tex = (tmp_path / "out" / "report.tex").read_text(encoding="utf-8")
    assert r"method & clean & $r=0.25$ \\" in tex
    assert r"\footnotesize" in tex
    text = page.read_text(encoding="utf-8")
    assert "<h1>T</h1>" in text
    assert "Difference to theirs" in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--baseline", "x"], "expected the baseline among"),
        (["--columns", "accuracy"], "expected columns among method, noise"),
        (["--width", "325"], "expected a width of 2 to 20 inches"),
    ],
)
def test_what_a_report_cannot_do_is_refused_before_anything_is_written(
    options: list[str],
    message: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert message in error_of(capsys, "report", str(run), *options, "--out", str(out))
    assert not out.exists()


@pytest.mark.parametrize("option", ["--out", "--html"])
def test_a_place_that_is_of_another_kind_is_refused_before_any_work(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here the records are not even read."""
    place = tmp_path / "page"
    if option == "--out":
        place.touch()
    else:
        place.mkdir()
    said = error_of(capsys, "report", str(tmp_path / "none"), option, str(place))
    assert f"got the {'file' if option == '--out' else 'folder'} {place}; name" in said


def test_a_folder_of_runs_is_shown_though_some_have_nothing_to_show(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    journal = (run / "certificates.jsonl").read_bytes()
    header, rest = journal.split(b"\n", 1)
    records = {
        "begun": header + b"\n",
        "damaged": header + b"\n" + rest.replace(b'"idx"', b'"ixd"', 1),
        "whole": journal,
    }
    for name, content in records.items():
        (runs / name).mkdir(parents=True)
        (runs / name / "certificates.jsonl").write_bytes(content)
    (runs / "trained").mkdir()
    (runs / "trained" / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    assert main(["report", str(runs)]) == 0
    printed = capsys.readouterr().out
    count = journal.count(b'"kind":"image"')
    assert f"- begun: unfinished, 0 of {count} images are there." in printed
    assert "- damaged: left out, since it cannot be read: " in printed
    assert "- trained: not certified yet." in printed
    assert "| whole |" in printed
    error = error_of(capsys, "report", str(runs / "whole"), str(runs / "damaged"))
    assert "fitting checksum" in error
