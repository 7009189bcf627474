"""Exit codes and the one line that an error becomes."""

from __future__ import annotations

import subprocess
import sys
import tokenize
from collections.abc import Callable
from pathlib import Path

import pytest

from rsmooth.plumbing.exits import in_one_line, run


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_success_and_a_code_of_ones_own() -> None:
    assert run(lambda: None, "tool") == 0
    assert run(lambda: 3, "tool") == 3


@pytest.mark.parametrize("error", [ValueError("a\n  b"), RuntimeError("a"), OSError(2)])
def test_an_error_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(error), "tool") == 2
    said = capsys.readouterr().err
    assert said == f"tool: error: {in_one_line(error)}\n"
    assert said.count("\n") == 1
    assert len(said) > len("tool: error: \n")


class UnheardError(Exception):
    """A type that nobody has thought of."""


@pytest.mark.parametrize(
    "error",
    [
        TypeError("bug"),
        KeyError("name"),
        KeyError(0),
        IndexError("list index out of range"),
        AttributeError("'int' object has no attribute 'x'"),
        AssertionError(),
        RecursionError("maximum recursion depth exceeded"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        NotImplementedError(),
        ZeroDivisionError("division by zero"),
        tokenize.TokenError("EOF in multi-line statement", (1, 0)),
        RuntimeError(),
        UnheardError("a\n  b"),
    ],
)
def test_a_bug_is_one_line_that_says_so(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(raising(error), "tool") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tool: error: unexpected {type(error).__name__}")
    assert "RSMOOTH_DEBUG=1" in said
    assert said.count("\n") == 1


def test_what_we_say_is_no_bug_whatever_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(TypeError("expected a tensor, got None; give one")), "tool") == 2
    assert capsys.readouterr().err == "tool: error: expected a tensor, got None; give one\n"
    assert in_one_line(KeyError("expected a name, got 'x'")) == "expected a name, got 'x'"


def test_too_little_memory_says_what_helps() -> None:
    assert in_one_line(MemoryError()).startswith("expected enough memory, got none left; take")
    assert "Unable to allocate 64 TiB" in in_one_line(MemoryError("Unable to allocate 64 TiB"))
    for said in (
        "[enforce fail at alloc_cpu.cpp:1] . DefaultCPUAllocator: can't allocate memory: 9 bytes.",
        "CUDA out of memory. Tried to allocate 20.00 GiB.",
    ):
        line = in_one_line(RuntimeError(said))
        assert line.startswith("expected enough memory, got none left (")
        assert said in line


@pytest.mark.parametrize("error", [ValueError("wrong"), TypeError("wrong")])
def test_a_traceback_on_request(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RSMOOTH_DEBUG", "1")
    assert run(raising(error), "tool") == 2
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith(f"tool: error: {in_one_line(error)}\n")


def test_an_interruption_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(KeyboardInterrupt("stopped; go on")), "tool") == 130
    assert capsys.readouterr().err == "tool: stopped; go on\n"
    assert run(raising(KeyboardInterrupt()), "tool") == 130
    assert capsys.readouterr().err == "tool: stopped\n"


def test_a_file_error_names_the_file() -> None:
    missing = FileNotFoundError(2, "No such file", "a.txt")
    assert in_one_line(missing) == "No such file: a.txt; check the name"
    assert in_one_line(OSError(28, "No space left", "a.txt")) == "No space left: a.txt"


def test_a_reader_that_leaves_is_no_error() -> None:
    program = "from rsmooth.plumbing.exits import run; run(lambda: print('x' * 10**6), 'tool')"
    writer = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    writer.stdout.close()
    assert writer.stderr.read() == ""
    writer.stderr.close()
    writer.wait()


def shell(program: str, redirections: str) -> int:
    """The status of a Python program that a shell starts with these redirections."""
    command = f'"$0" -c "$1" {redirections}'
    return subprocess.run(["sh", "-c", command, sys.executable, program], check=False).returncode


@pytest.mark.skipif(sys.platform == "win32", reason="of POSIX shells")
def test_a_closed_stream_takes_nothing_from_the_files_of_a_run(tmp_path: Path) -> None:
    program = f"""
import os, sys
from pathlib import Path
from rsmooth.plumbing.exits import run
def work():
    with open({str(tmp_path / "kept")!r}, "w") as file:
        for number in (1, 2):
            os.write(number, b"of a library")
        print("a line")
        print("another", file=sys.stderr)
        file.write("a record")
sys.exit(run(work, "tool"))
"""
    for redirections in (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
        # Not those of pytest, where a program is to print nothing.
        rest = "" if "2>&-" in redirections else "2>/dev/null"
        rest += "" if redirections.startswith(("<", ">")) else ">/dev/null"
        assert shell(program, f"{redirections} {rest}") == 0
        assert (tmp_path / "kept").read_text() == "a record"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="of Linux")
def test_an_error_that_nobody_can_be_told_has_its_status_all_the_same() -> None:
    program = "import sys; from rsmooth.plumbing.exits import run; sys.exit(run(open, 'tool'))"
    assert shell(program, "2>/dev/full") == 2
