"""Every file of examples/ runs as users run it; those whose libraries are missing are skipped."""

from __future__ import annotations

import io
import os
import re
import runpy
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

import rsmooth
from rsmooth.data import DataSplits, load_dataset

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
# What some print at their end, and what they need beside what they import.
SAYS = {
    "track_wandb": "certified_accuracy/0.25",
    "tune_optuna": "best:",
    "train_lightning": r"\[[\d.]+ +[\d.]+ *\]",
    "train_accelerate": r"\[[\d.]+ +[\d.]+ *\]",
}
OURS = {"pathlib", "rsmooth", "tempfile", "torch"}
NEEDS = {"track_mlflow": ("sqlalchemy", "alembic")}


def needed(path: Path) -> set[str]:
    """The modules that a file imports."""
    found = re.findall(r"^(?:import|from) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {*found, *NEEDS.get(path.stem, ())}


def run_here(path: Path, folder: Path) -> str:
    """What an example prints, run in this process, which has loaded torch already."""
    out, before = io.StringIO(), Path.cwd()
    os.chdir(folder)
    try:
        with redirect_stdout(out):
            runpy.run_path(str(path), run_name="__main__")
    finally:
        os.chdir(before)
    return out.getvalue()


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the training images: the code of an example is tested, not what it learns."""
    monkeypatch.setattr(rsmooth, "load_dataset", lambda name: few(load_dataset(name)))


def few(data: DataSplits) -> DataSplits:
    return replace(data, train=data.train.subset(range(0, len(data.train), 5)))


def run(path: Path, folder: Path) -> str:
    """What an example prints, started in an empty folder."""
    quiet = {"WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=folder,
        env={**os.environ, **quiet},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.usefixtures("few_digits")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    missing = [name for name in sorted(needed(path)) if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    # Those of others' libraries get a process of their own, which these may set up as they like.
    way = run if needed(path) - OURS else run_here
    assert re.search(SAYS.get(path.stem, ""), way(path, tmp_path))
    if path.stem == "track_mlflow":
        _check_mlflow(tmp_path)


def _check_mlflow(folder: Path) -> None:
    """What the tracker keeps: a point per epoch, and the certificates."""
    from contextlib import closing
    from sqlite3 import connect

    with closing(connect(folder / "mlflow.db")) as store:
        rows = store.execute("select key, step from metrics").fetchall()
    assert {step for name, step in rows if name == "validation_accuracy"} == {0, 1, 2}
    assert "certified_accuracy/0.25" in {name for name, _ in rows}


def test_the_examples_are_all_described() -> None:
    assert {path.stem for path in EXAMPLES} >= {*SAYS, *NEEDS}
    for path in EXAMPLES:
        text = path.read_text(encoding="utf-8")
        assert text.startswith('"""'), path
        assert len(text.splitlines()) < 60, "users copy them: keep them short"
