"""docs/compare-defences.md is true: its code runs, and its table is that of the records."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from rsmooth.benchmarks.defence_table import table, with_table
from rsmooth.benchmarks.main import MEASUREMENTS, _parser
from rsmooth.benchmarks.presets import load_preset

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "compare-defences.md"
PAGE = FILE.read_text(encoding="utf-8")


def block(language: str) -> str:
    (found,) = re.findall(
        rf"^```{re.escape(language)}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE
    )
    return str(found)


def test_its_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(block("{code-cell} ipython3"), FILE.name, "exec"), found)
    assert {path.name for path in (tmp_path / "runs").iterdir()} >= {"gaussian-0", "consistency-1"}


def test_its_preset_and_commands_are_understood(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(block("yaml"), encoding="utf-8")
    preset = load_preset(str(tmp_path / "mine.yaml"))
    assert len(preset.arms) == 6
    for line in block("console").splitlines():
        _, python, option, module, *arguments = shlex.split(line)
        assert (python, option, module) == ("python", "-m", "rsmooth.benchmarks")
        _parser().parse_args(arguments)
    named = re.findall(r"`python -m benchmarks ([\w-]+)", PAGE)
    assert {"method-cost", "defence-table"} <= set(named) <= {*MEASUREMENTS, "run"}


def test_its_table_is_that_of_the_records() -> None:
    made = table(ROOT / "benchmarks/results", ROOT / "benchmarks/reference/cifar10_later.csv")
    assert with_table(PAGE, made, FILE) == PAGE, "run python -m benchmarks defence-table --page"


def test_its_links_and_lines() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (FILE.parent / link).exists(), link
    lines = [line for line in PAGE.splitlines() if not line.startswith("|")]
    assert max(map(len, lines)) <= 120
