"""A process that ends with its parent."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsmooth.plumbing import parent as watching
from rsmooth.plumbing.parent import end_with_parent

CHILD = """
import os, sys, time
from rsmooth.plumbing.parent import end_with_parent
end_with_parent(lambda: (print("alone", flush=True), os._exit(3)), int(sys.argv[1]) or None)
print("ready", flush=True)
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], sys.argv[2]])
time.sleep(60)
"""


def test_it_ends_when_the_parent_is_killed() -> None:
    root = Path(__file__).parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, "0"], stdout=subprocess.PIPE, text=True, cwd=root
    )
    assert parent.stdout is not None
    with parent.stdout as said:
        assert said.readline() == "ready\n"
        parent.kill()
        parent.wait()
        assert said.read() == "alone\n"  # to the end: the child has closed it


def test_a_parent_that_died_before_the_call_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    end_with_parent(stopped.set, parent=-1)
    assert stopped.wait(30)


def test_on_windows_the_process_itself_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """There an orphan keeps the number of its parent."""
    monkeypatch.setattr(watching.sys, "platform", "win32")
    called: list[tuple[str, int]] = []

    def wait(handle: ctypes.c_void_p, milliseconds: int) -> None:
        called.append(("wait", handle.value or 0))

    def close(handle: ctypes.c_void_p) -> None:
        called.append(("close", handle.value or 0))

    class Open:
        restype: object = None

        def __call__(self, access: int, inherit: bool, process: int) -> int:
            assert (access, inherit) == (0x00100000, False)
            return 7 if process == 5 else 0

    kernel = SimpleNamespace(OpenProcess=Open(), WaitForSingleObject=wait, CloseHandle=close)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    for number, expected in ((5, [("wait", 7), ("close", 7)]), (6, [])):
        called.clear()
        stopped = threading.Event()
        end_with_parent(stopped.set, parent=number)
        assert stopped.wait(30)
        assert called == expected
