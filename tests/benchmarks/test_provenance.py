"""The provenance of a measurement: complete, and without paths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rsmooth.benchmarks import provenance as module
from rsmooth.benchmarks.provenance import cpu_model, git_commit, provenance, this_command


def test_what_figures_depend_on_is_recorded() -> None:
    made = provenance({"train": 3})
    assert {"date", "command", "commit", "cpu", "cores", "threads", "gpu", "python"} <= set(made)
    assert made["seeds"] == {"train": 3}
    assert made["versions"]["torch"].startswith("2.")
    assert made["versions"]["rsmooth"] is not None
    assert made["cores"] >= 1
    assert made["cpu"] == cpu_model()


def test_a_command_is_recorded_without_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["x", "run", "digits", "--out", "/home/someone/runs/a"])
    assert this_command() == "python -m benchmarks run digits --out a"
    assert provenance(command="typed")["command"] == "typed"


def test_a_changed_tree_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*arguments: str) -> None:
        name = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run(["git", *name, *arguments], cwd=tmp_path, check=True, capture_output=True)

    monkeypatch.setattr(module, "CHECKOUT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_commit() == "unknown"
    (tmp_path / "a").write_text("1")
    git("init")
    git("add", "a")
    git("commit", "-m", "a")
    commit = git_commit()
    assert len(commit) == 12
    (tmp_path / "a").write_text("2")
    assert git_commit() == f"{commit}+changes"


def test_a_repository_around_an_installed_package_is_not_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init"], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "within").mkdir()
    for place in (tmp_path / "within", None):
        monkeypatch.setattr(module, "CHECKOUT", place)
        assert git_commit() == "unknown"
