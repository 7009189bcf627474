"""The documentation: a short set of pages runs, every command parses, every page is listed."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import re
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from rsmooth import ATTACKS, NOISES, TRAINERS, predict
from rsmooth.cli.main import parse
from rsmooth.cli.verbs import VERBS
from rsmooth.config.parts import build_trainer
from rsmooth.models import Ensemble
from rsmooth.records import certified_accuracy
from rsmooth.report import to_markdown
from tests.attacks.outside import theirs
from tests.system.pages import blocks, can_run, commands, run_page

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
README = ROOT / "README.md"
# `make docs` runs all of them.
SHORT = ("certify-my-model", "extend", "threat-model")


def test_a_short_set_of_pages_runs() -> None:
    """In a process of its own, since pages register parts."""
    pages = [str(ROOT / "docs" / f"{name}.md") for name in SHORT]
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.pages", *pages],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": runs") == len(SHORT)


def test_the_page_on_attacks_runs(tmp_path: Path) -> None:
    """It hands g to AutoAttack and to ART."""
    for module in ("pyautoattack", "art"):
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    with torch.random.fork_rng(), theirs():
        run_page(ROOT / "docs" / "attack-g.md", tmp_path)


def test_a_page_that_the_machine_cannot_run_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By both steps of `make docs`: this one and sphinx."""
    for found in (None, "AVX512_VNNI"):
        monkeypatch.setattr("rsmooth.plumbing.machine.int8_instructions", lambda found=found: found)
        monkeypatch.setattr("tests.system.pages.int8_instructions", lambda found=found: found)
        excluded = runpy.run_path(str(ROOT / "docs" / "conf.py"))["nb_execution_excludepatterns"]
        assert can_run(ROOT / "docs" / "int8.md") == ("int8*" not in excluded) == bool(found)
    assert can_run(ROOT / "docs" / "start.md")


def test_examples_of_docstrings_are_code_in_the_site() -> None:
    """Also where the formatter has taken their indentation away."""
    as_rst = runpy.run_path(str(ROOT / "docs" / "conf.py"))["as_rst"]
    for entry in (to_markdown, Ensemble, certified_accuracy, predict):
        lines = as_rst((inspect.getdoc(entry) or "").splitlines())
        assert lines.count(".. code-block:: python") == 1, entry
    told = as_rst(["What it is.", "", "It is used (often) where", "nothing is code.", ""])
    assert told == ["What it is.", "", "It is used (often) where", "nothing is code.", ""]


def test_a_block_that_fails_is_named(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```sh\nexit 3\n```\n", encoding="utf-8")
    with pytest.raises(RuntimeError, match=r"page\.md:4"):
        run_page(page, tmp_path)
    page.write_text("```{code-cell} ipython3\n:tags: [x]\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        run_page(page, tmp_path)


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.stem)
def test_commands_are_understood(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in [*commands(page), *commands(page, "console")]:
        program, *arguments = shlex.split(command)
        if {"--print_config", "--config"} & {*arguments}:
            continue  # of files that only a run of the page makes
        if program == "rsmooth" and not arguments[0].startswith("-"):
            options = parse(arguments[0], arguments[1:])
            if arguments[0] == "train":
                build_trainer(options["trainer"], options["attack"], 0, options["preset"])


def test_every_verb_is_shown() -> None:
    shown = {
        shlex.split(command)[1]
        for page in [README, *PAGES]
        for command in [*commands(page), *commands(page, "console")]
        if command.startswith("rsmooth ")
    }
    assert set(VERBS.own_names()) <= shown


def test_the_page_on_the_command_line_explains_every_verb() -> None:
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == set(VERBS.own_names())


def test_code_blocks_use_only_what_the_page_has_imported() -> None:
    """Of those too that are shown only, since nothing runs them."""
    for page in [README, *PAGES]:
        known = {*dir(builtins), "setup"}  # of setup.py, which a page shows a line of
        for block in blocks(page):
            if block.language not in ("code-cell", "python"):
                continue
            nodes = [*ast.walk(ast.parse(block.text))]
            names = {node for node in nodes if isinstance(node, ast.Name)}
            known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
            known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
            known |= {
                node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            }
            known |= {
                (alias.asname or alias.name).partition(".")[0]
                for node in nodes
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in node.names
            }
            unknown = {node.id for node in names} - known
            assert not unknown, f"{page.name}:{block.line}"


def test_calls_within_sentences_are_of_public_names() -> None:
    """`Macer(...)` in a line of text is a class that a user can import."""
    public = {
        name
        for stub in (ROOT / "rsmooth").rglob("__init__.pyi")
        for name in re.findall(r" as (\w+)$", stub.read_text(encoding="utf-8"), re.MULTILINE)
    }
    for page in [README, *PAGES]:
        text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        called = set(re.findall(r"`([A-Z]\w+)\(", text))
        assert called <= public, page.name


def test_the_api_has_what_the_pages_call() -> None:
    """Functions and classes that a block imports; the names of registries stand in the guides."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    listed = [_named(name) for name in re.findall(r"^   (rsmooth\.[\w.]+)$", text, re.MULTILINE)]
    code = "\n".join(
        block.text
        for page in [README, *PAGES]
        for block in blocks(page)
        if block.language in ("code-cell", "python")
    )
    for module, names in re.findall(r"^from (rsmooth[\w.]*) import ([\w, ]+)$", code, re.MULTILINE):
        for name in names.split(", "):
            entry = _named(f"{module}.{name}")
            if (inspect.isclass(entry) or inspect.isfunction(entry)) and entry not in listed:
                raise AssertionError(f"{module}.{name} is not in api.md")


def _named(name: str) -> object:
    module, _, last = name.rpartition(".")
    return getattr(importlib.import_module(module), last)


def test_every_page_and_notebook_is_listed_once() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = [
        line
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.DOTALL | re.MULTILINE)
        for line in tree.splitlines()
        if line and not line.startswith(":")
    ]
    pages = {page.stem for page in PAGES} - {"index"}
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "docs/notebooks").glob("*.ipynb")}
    assert sorted(listed) == sorted(pages | notebooks)


def test_tables_name_what_is_registered() -> None:
    """Only own attacks, trainers and noises; a new one need not be in them at once."""
    methods = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", methods, re.DOTALL | re.MULTILINE))
    for title, registry, column in (("Training methods", TRAINERS, 2), ("Attacks", ATTACKS, 1)):
        rows = re.findall(r"^\|(.*)\|$", sections[title], flags=re.MULTILINE)
        cells = [row.split("|")[column] for row in rows[2:]]
        names = re.findall(r"`([\w-]+)`", " ".join(cells))
        assert len(names) > 5
        assert set(names) <= set(registry.own_names())
    noises = (ROOT / "docs" / "noises.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--noise ([\w-]+)", noises)) <= set(NOISES.own_names())


def test_notebooks_have_no_stored_output() -> None:
    for path in (ROOT / "docs" / "notebooks").glob("*.ipynb"):
        assert '"outputs": []' in path.read_text(encoding="utf-8")
        assert '"output_type"' not in path.read_text(encoding="utf-8")
