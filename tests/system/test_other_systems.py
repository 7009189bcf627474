"""What only Linux has is not needed: a whole run without it, and the names that text files use."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rsmooth"
# Of POSIX or of Linux alone. Other packages may have loaded theirs before.
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix_ipc")
OF_OS = ("sched_getaffinity", "fork", "killpg", "setsid", "getloadavg")
OF_SIGNAL = ("SIGALRM", "SIGHUP", "SIGUSR1", "setitimer", "alarm", "pthread_kill")
BARE = f"""
import os, pkgutil, signal, sys
import numpy, scipy.stats, sklearn.datasets, torch, torchvision, jsonargparse, filelock
for name in {MODULES!r}:
    sys.modules[name] = None
for module, names in ((os, {OF_OS!r}), (signal, {OF_SIGNAL!r})):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import rsmooth
for found in pkgutil.walk_packages(rsmooth.__path__, "rsmooth."):
    if not found.name.endswith("__main__"):
        __import__(found.name)
from rsmooth.cli import main
run = sys.argv[1]
assert main(["train", run, "--sigma", "0.25", "--model.name", "small-cnn", "--model.width", "4",
    "--trainer.epochs", "1", "--trainer.warmup_epochs", "0", "--progress", "false"]) == 0
assert main(["certify", run, "--max", "3", "--n", "50", "--n0", "5", "--progress", "false"]) == 0
assert main(["report", run]) == 0
"""


def test_a_run_without_what_only_linux_has(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    made = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert made.returncode == 0, made.stderr
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert not [name for name in names if name.endswith((".lock", ".writer", ".tmp"))]
    assert "certificates.jsonl" in names


def calls(path: Path) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def name_of(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def binary(call: ast.Call) -> bool:
    """Whether a call of ``open`` has a mode with a b, or is of something else."""
    texts = [each.value for each in call.args if isinstance(each, ast.Constant)]
    modes = [text for text in texts if isinstance(text, str) and set(text) <= set("rwxab+t")]
    return any("b" in mode for mode in modes)


def says_its_encoding(call: ast.Call) -> bool:
    """Whether a call opens no text file, or says in which encoding."""
    if name_of(call) not in ("read_text", "write_text", "fdopen", "open"):
        return True
    if "safe_open" in ast.unparse(call):
        return True
    of = ast.unparse(call.func).split(".")[0]
    other = of in ("os", "Image", "archive", "file", "tarfile")
    if name_of(call) == "open" and (other or binary(call)):
        return True
    given = {each.arg for each in call.keywords}
    positional = len(call.args) > (1 if name_of(call) == "write_text" else 3)
    return "encoding" in given or positional


def test_text_files_say_their_encoding() -> None:
    """The default of Windows is not UTF-8."""
    found = [
        f"{path.relative_to(ROOT)}, line {call.lineno}: {ast.unparse(call)}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for call in calls(path)
        if not says_its_encoding(call)
    ]
    assert not found


def test_output_survives_a_stream_that_lacks_a_letter(tmp_path: Path) -> None:
    """As where Windows redirects output: an encoding of 256 letters."""
    program = (
        "from rsmooth.plumbing.exits import run; run(lambda: print('\\u03c3 = \\u2113 2'), 'x')"
    )
    made = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert (made.returncode, made.stdout.strip()) == (0, b"? = ? 2")
