"""``rsmooth report``: runs and published logs side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.cli import main


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
