"""The README's promises: its Python runs, its commands parse, its targets and files exist."""

import re
import shlex
from pathlib import Path

import pytest

from rsmooth import ATTACKS
from rsmooth.cli.main import parse
from rsmooth.cli.verbs import VERBS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("code", blocks("python"), ids=["library", "attack"])
def test_python_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})
    finally:
        ATTACKS._entries.pop("sign", None)


def test_commands_are_understood():
    seen = set()
    for command in commands():
        program, *arguments = shlex.split(command)
        if program == "make":
            assert re.search(
                rf"^{arguments[0]}:",
                (ROOT / "Makefile").read_text(encoding="utf-8"),
                flags=re.MULTILINE,
            )
        else:
            assert program == "rsmooth"
            parse(arguments[0], arguments[1:])
            seen.add(arguments[0])
    assert seen == set(VERBS.names()), "every verb is shown"


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
