"""The README's promises: its Python runs, its commands parse, its targets and files exist."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.system.pages import blocks, commands

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_python_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType("readme")  # a real one, so that its classes can be pickled
    monkeypatch.setitem(sys.modules, "readme", module)
    found = [block for block in blocks(README) if block.language == "python"]
    assert found
    for block in found:
        exec(compile(block.text, "README.md", "exec"), module.__dict__)


def test_the_library_is_shown_in_fifteen_lines():
    [code] = [block.text for block in blocks(README) if block.language == "python"]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = [shlex.split(line)[1] for line in commands(README) if line.startswith("make ")]
    assert named == ["demo", "test"]
    for target in [*named, *re.findall(r"`make (\w+)`", TEXT)]:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_lines_are_short():
    """But for commands, tables and the links in them."""
    lines = re.sub(r"^```sh\n.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]


@pytest.mark.parametrize("page", sorted(PAGES), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_linked_files_exist(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
