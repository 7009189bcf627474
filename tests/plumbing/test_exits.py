"""Exit codes and the one line that an error becomes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from rsmooth.plumbing.exits import in_one_line, run


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


def test_success_and_a_code_of_ones_own() -> None:
    assert run(lambda: None, "tool") == 0
    assert run(lambda: 3, "tool") == 3


@pytest.mark.parametrize("error", [ValueError("a\n  b"), KeyError("a"), RuntimeError(), OSError(2)])
def test_an_error_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(raising(error), "tool") == 2
    said = capsys.readouterr().err
    assert said == f"tool: error: {in_one_line(error)}\n"
    assert said.count("\n") == 1
    assert len(said) > len("tool: error: \n")


def test_a_bug_shows_itself() -> None:
    with pytest.raises(TypeError):
        run(raising(TypeError("bug")), "tool")


def test_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSMOOTH_DEBUG", "1")
    with pytest.raises(ValueError, match="wrong"):
        run(raising(ValueError("wrong")), "tool")


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
