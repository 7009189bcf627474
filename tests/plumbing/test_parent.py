"""A process that ends with its parent."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

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
