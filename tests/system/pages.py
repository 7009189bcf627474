"""Runs the blocks of documentation pages, in order: ``python -m tests.system.pages docs/*.md``.

Blocks of ``{code-cell}`` and ``sh`` are executed, in a folder of their own for each page. Those of
``python`` that say ``# needs PACKAGE`` too, where it is installed. Other ones of ``python`` and
``console`` are shown only: they need files or minutes that a reader has to bring.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from rsmooth.plumbing.machine import int8_instructions

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\{code-cell\}|\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: its language and its text, and the line where it begins."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page in order; options of code cells are left out."""
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        code = re.sub(r"^:\w[\w-]*:.*\n", "", match[2], flags=re.MULTILINE)
        yield Block(match[1].strip("{}"), code, text.count("\n", 0, match.start()) + 2)


def commands(page: Path, language: str = "sh") -> list[str]:
    """The command lines of a page, without comments and prompts, one string each."""
    text = "\n".join(block.text for block in blocks(page) if block.language == language)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found = [line.removeprefix("$ ").split("  #")[0].split(" #")[0].strip() for line in lines]
    return [line for line in found if line]


def can_run(page: Path) -> bool:
    """Whether the machine can; networks of 8-bit integers need instructions of the CPU."""
    return page.stem != "int8" or int8_instructions() is not None


def run_page(page: Path, folder: Path) -> None:
    """Execute a page in ``folder``; the first block that fails raises, named by page and line."""
    module = ModuleType(f"page_{re.sub(r'[^0-9a-z]', '_', page.stem.lower())}")
    sys.modules[module.__name__] = module  # a real one, so that its classes can be pickled
    earlier = Path.cwd()
    os.chdir(folder)
    try:
        for block in blocks(page):
            if block.language == "code-cell" or _has_what_it_needs(block):
                code = "\n" * (block.line - 1) + block.text
                exec(compile(code, str(page), "exec"), module.__dict__)
            elif block.language == "sh":
                _run_shell(page, block)
    finally:
        os.chdir(earlier)
        del sys.modules[module.__name__]


def _has_what_it_needs(block: Block) -> bool:
    """Whether a ``python`` block that begins with ``# needs PACKAGE, ...`` can run here."""
    named = re.match(r"# needs ([\w, ]+)\n", block.text) if block.language == "python" else None
    return named is not None and all(find_spec(name) for name in named[1].split(", "))


def _run_shell(page: Path, block: Block) -> None:
    # The command of the interpreter that runs this, wherever it is installed.
    own = f'rsmooth() {{ "{sys.executable}" -m rsmooth "$@"; }}\n'
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        ["bash", "-ec", own + block.text],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{page}:{block.line}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if not can_run(Path(name)):
            print(f"{name}: left out, since this CPU has no 8-bit integer instructions")
            continue
        with tempfile.TemporaryDirectory() as place:
            run_page(Path(name).resolve(), Path(place))
        print(f"{name}: runs")
