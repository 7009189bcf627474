"""The guide pages in docs/: their Python runs from top to bottom, their commands are understood."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rsmooth.cli.main import parse
from tests.attacks.outside import theirs

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = ["attack-g.md"]
BLOCK = re.compile(r"(?:<!-- needs (\w+) -->\n)?^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_python_of_a_guide_runs(guide: str, tmp_path: Path, monkeypatch) -> None:
    """A block under ``<!-- needs MODULE -->`` is left out where that module is not installed."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with torch.random.fork_rng(), theirs():
        torch.manual_seed(0)
        for needed, code in BLOCK.findall((DOCS / guide).read_text(encoding="utf-8")):
            if not needed or find_spec(needed) is not None:
                exec(compile(code, guide, "exec"), names)
    assert len(names) > 5


@pytest.mark.parametrize("guide", GUIDES)
def test_the_commands_of_a_guide_are_understood(guide: str) -> None:
    text = (DOCS / guide).read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for line in "\n".join(blocks).splitlines():
        program, verb, *arguments = shlex.split(line, comments=True)
        assert program == "rsmooth"
        assert parse(verb, arguments)
