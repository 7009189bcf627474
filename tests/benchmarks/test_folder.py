"""The report of a folder of arms is the same whoever makes it, and of all that is there."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.folder import NOTED, note, noted, runs_of
from rsmooth.benchmarks.main import main
from rsmooth.benchmarks.place import FILES
from rsmooth.benchmarks.presets import Arm, load_preset, select_arms
from rsmooth.report import document
from tests.report.by_hand import write_run

TEXT = """
title: Two methods, the better first
arms: {plain: {}, best: {}, idle: {certify: null}}
report: {radii: [0.125, 0.25], linf: [0.00784313725490196], dimension: 12, reference: cifar10}
"""
MADE = {
    "cpu": "c",
    "gpu": None,
    "threads": 1,
    "cores": 2,
    "python": "3",
    "versions": {"torch": "2"},
    "commit": "abc",
    "command": "run",
    "date": "2026-11-28T00:00:00",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "two.yaml"
    path.write_text(TEXT)
    return path


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Arms end at once: certified, or stopped after one image where they are among these."""
    names: set[str] = set()

    def start(arm: Arm, out: Path, *_: Any) -> runner.Running:
        folder = out / arm.name
        if arm.certify is not None:
            write_run(folder, [900] if arm.name in names else [900, 800, 700 + len(arm.name)])
            (folder / "metrics.jsonl").unlink()
        if arm.name not in names:
            seconds = {"train": {"wall": 60.0, "cpu": 50.0}}
            content = {**arm.as_dict(), "seconds": seconds, "provenance": MADE}
            (folder / SUMMARY).write_text(json.dumps(content))
        code = 130 if arm.name in names else 0
        return runner.Running(arm, folder, SimpleNamespace(poll=lambda: code))  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "_start", start)
    monkeypatch.setattr(runner, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(document, "save_figures", lambda *_: ([], []))
    return names


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def rows(folder: Path) -> list[str]:
    lines = (folder / "report.csv").read_text().splitlines()[1:]
    names = [line.split(",")[0] for line in lines]
    return [name for name in names if name not in ("upper envelope", "constant classifier")]


def test_run_and_report_write_the_same(file: Path, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    assert main(["run", str(file), f"--out={out}"]) == 0
    made = written(out)
    assert made["report.md"].startswith(b"# Two methods, the better first\n")
    assert rows(out) == ["plain", "best"]
    assert b"r=0.125 | r=0.25 |" in made["report.md"]
    assert b"differences to plain" in made["report.md"].lower()
    assert {"linf.csv", "beside_published.csv"} <= set(made)
    assert main(["report", str(out), f"--out={again}"]) == 0
    assert written(again) == {name: made[name] for name in made if name != NOTED}
    assert main(["report", str(out), f"--out={out}"]) == 0
    assert written(out) == made


def test_options_of_the_command_come_before_those_of_the_preset(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", str(file), f"--out={tmp_path / 'out'}"]) == 0
    capsys.readouterr()
    given = ["--title", "Mine", "--radii", "0.2", "--reference", "none"]
    assert main(["report", str(tmp_path / "out"), *given]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Mine\n")
    assert "r=0.2 |" in said
    assert "published" not in said
    assert "linf 2/255" in said


def test_a_further_seed_joins_the_report(file: Path, tmp_path: Path) -> None:
    text = TEXT.replace("arms:", "seeds: [0]\narms:")
    file.write_text(text)
    apart, together = tmp_path / "apart" / "two", tmp_path / "together" / "two"
    assert main(["run", str(file), f"--out={apart}"]) == 0
    assert main(["run", str(file), f"--out={apart}", "--seeds", "2"]) == 0
    assert main(["run", str(file), f"--out={together}", "--seeds", "0", "2"]) == 0
    assert rows(apart) == ["plain-seed0", "best-seed0", "plain-seed2", "best-seed2"]
    assert written(apart) == written(together)
    assert b"## Over several seeds" in written(apart)["report.md"]


def test_a_part_of_the_arms_leaves_the_others_in_the_report(file: Path, tmp_path: Path) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    for name in ("best", "plain"):
        assert main(["run", str(file), f"--out={out}", "--only", name]) == 0
    assert main(["run", str(file), f"--out={whole}"]) == 0
    assert rows(out) == rows(whole) == ["plain", "best"]


def test_what_is_not_finished_is_named_by_both(
    file: Path, tmp_path: Path, stopped: set[str]
) -> None:
    out = tmp_path / "out"
    stopped.update(["best", "idle"])
    assert main(["run", str(file), f"--out={out}"]) == 130
    made = written(out)
    assert rows(out) == ["plain"]
    assert b"best: not finished." in made["report.md"]
    assert b"idle" not in made["report.md"]
    assert main(["report", str(out), f"--out={out}"]) == 0
    assert written(out) == made


def test_nothing_finished_is_said(
    file: Path, tmp_path: Path, stopped: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    stopped.update(["plain", "best", "idle"])
    assert main(["run", str(file), f"--out={tmp_path / 'out'}"]) == 130
    assert main(["report", str(tmp_path / "out")]) == 2
    assert "got none (plain, best not finished); give the command again" in capsys.readouterr().err


def test_runs_of_others_come_after_the_arms(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["run", str(file), f"--out={out}"]) == 0
    write_run(out / "a", [900, 800, 700])
    (out / "begun").mkdir()
    (out / "begun" / "config.yaml").write_text("sigma: 0.25\n")
    found = runs_of(out)
    assert [path.name for path in found.runs] == ["plain", "best", "a"]
    assert [(each.source, each.reason) for each in found.left_out] == [
        ("begun", "not certified yet.")
    ]


def test_a_folder_of_an_earlier_version_is_read_as_before(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["run", str(file), f"--out={out}"]) == 0
    (out / NOTED).unlink()
    capsys.readouterr()
    assert main(["report", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("# Report\n")
    assert said.index("| best |") < said.index("| plain |")
    assert "linf 2/255" not in said
    assert [path.name for path in runs_of(out).runs] == ["best", "plain"]


def test_several_folders_have_no_preset_but_the_order_of_each(file: Path, tmp_path: Path) -> None:
    for name in ("b", "a"):
        assert main(["run", str(file), f"--out={tmp_path / name}"]) == 0
    report = ["report", str(tmp_path / "b"), str(tmp_path / "a"), f"--out={tmp_path / 'both'}"]
    assert main(report) == 0
    assert rows(tmp_path / "both") == ["b/plain", "b/best", "a/plain", "a/best"]
    assert (tmp_path / "both" / "report.md").read_text().startswith("# Report\n")


def test_arms_of_earlier_calls_keep_their_places(file: Path, tmp_path: Path) -> None:
    preset = load_preset(str(file))
    note(select_arms(preset, ["best"]), tmp_path)
    known = noted(tmp_path)
    assert known is not None
    assert known.order == ["plain", "best", "idle"]
    assert known.words == {"title": preset.title, **preset.report}
    note(load_preset(str(file), seeds=[3]), tmp_path)
    note(preset, tmp_path)
    known = noted(tmp_path)
    assert known is not None
    assert known.order == ["plain", "best", "idle", "plain-seed3", "best-seed3", "idle-seed3"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("title: 3\narms: [a]\n", "expected title of .* to be a text, got 3; run the preset again"),
        ("title: a\narms: b\n", "to be a list of names, got 'b'; run the preset again"),
        ("title: a\narms: [a]\nreport: {radius: 1}\n", "expected report of"),
        ("a", "expected a mapping of options"),
    ],
)
def test_a_file_that_no_runner_wrote_is_refused(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / NOTED).write_text(text)
    with pytest.raises(ValueError, match=said):
        noted(tmp_path)


def test_committed_reports_can_be_made_again() -> None:
    """Title and rows of each are those that its folder notes."""
    folders = [path.parent for path in FILES.glob(f"results/*/{NOTED}")]
    if not folders:  # a source distribution has no results
        pytest.skip("no committed results")
    for folder in folders:
        known = noted(folder)
        assert known is not None
        text = (folder / "report.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {known.words['title']}\n")
        assert [path.name for path in runs_of(folder).runs] == known.order
        assert all(f"\n| {name} |" in text or f"\n| {name} (not" in text for name in known.order)
