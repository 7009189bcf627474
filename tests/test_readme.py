"""The README's promises: its Python runs, its commands parse, its targets and files exist."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rsmooth import ATTACKS, NOISES, TRAINERS
from rsmooth.cli.main import parse
from rsmooth.cli.verbs import VERBS
from rsmooth.config.parts import build_trainer

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.mark.parametrize("code", blocks("python"), ids=["library", "records", "attack", "method"])
def test_python_blocks_run(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = ModuleType("readme")  # a real one, so that its classes can be pickled
    monkeypatch.setitem(sys.modules, "readme", module)
    try:
        exec(compile(code, "README.md", "exec"), module.__dict__)
    finally:
        ATTACKS._entries.pop("sign", None)
        TRAINERS._entries.pop("clean-and-noisy", None)


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
            options = parse(arguments[0], arguments[1:])
            if arguments[0] == "train":
                build_trainer(options["trainer"], options["attack"], 0, options["preset"])
            seen.add(arguments[0])
    assert seen == set(VERBS.own_names()), "every verb is shown"


def test_tables_name_what_is_registered():
    """Only own attacks, trainers and noises; a new one need not be in them at once."""
    sections = {
        title: re.findall(r"^\|(.*)\|$", text, flags=re.MULTILINE)
        for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^##)", README, re.DOTALL | re.MULTILINE)
    }
    for title, registry, column in (("Training methods", TRAINERS, 2), ("Attacks", ATTACKS, 1)):
        cells = [row.split("|")[column] for row in sections[title][2:]]
        names = re.findall(r"`([\w-]+)`", " ".join(cells))
        assert len(names) > 5
        assert set(names) <= set(registry.own_names())
    assert set(re.findall(r"--noise ([\w-]+)", README)) <= set(NOISES.own_names())


def test_lines_are_short():
    """But for commands, tables and the links in them."""
    lines = re.sub(r"^```sh\n.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE).splitlines()
    assert [line for line in lines if len(line) > 120 and not line.startswith("|")] == []


def test_linked_files_exist():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
