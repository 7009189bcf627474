"""docs/models-and-data.md: each block runs, after those before it."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from rsmooth.registry import DATASETS, MODELS

PAGE = Path(__file__).parents[2] / "docs" / "models-and-data.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(
    r"^```(?:python|\{code-cell\} ipython3)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE
)


def lacking(code: str) -> list[str]:
    """The packages that a block says it needs, and that are not here."""
    first = code.splitlines()[0]
    if not first.startswith("# needs "):
        return []
    return [name for name in first.removeprefix("# needs ").split(", ") if find_spec(name) is None]


@pytest.fixture
def page(tmp_path, monkeypatch) -> Iterator[ModuleType]:
    monkeypatch.chdir(tmp_path)
    module = ModuleType("page")  # a real one, so that its classes can be pickled
    monkeypatch.setitem(sys.modules, "page", module)
    with torch.random.fork_rng(devices=[]):
        yield module
    MODELS._entries.pop("two-layers", None)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_blocks_run_in_their_order(page, capsys) -> None:
    ran = 0
    for number, code in enumerate(BLOCKS):
        if code.startswith("# not run") or lacking(code):
            continue
        exec(compile(code, f"{PAGE.name}, block {number}", "exec"), page.__dict__)
        ran += 1
    assert ran >= 6
    assert "mean=[0.485, 0.456, 0.406]" in capsys.readouterr().out


def test_the_table_names_every_data_set() -> None:
    rows = re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named == set(DATASETS.own_names())
