"""Memory that was freed is taken again without the kernel, in processes of their own."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from rsmooth.plumbing import memory
from rsmooth.plumbing.memory import keep_freed_memory

GLIBC = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
PROGRAM = """
import resource, sys
from rsmooth.plumbing.memory import keep_freed_memory
if sys.argv[1] == "keep":
    print(keep_freed_memory())
large = b"x" * 40_000_000
del large
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    large = b"x" * 40_000_000
    del large
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def said(how: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@GLIBC
def test_freed_memory_is_kept() -> None:
    [faults] = said("default")
    kept, fewer = said("keep")
    assert kept == "True"
    assert int(fewer) < int(faults) / 20


@GLIBC
def test_what_the_user_has_set_counts() -> None:
    assert said("keep", MALLOC_MMAP_MAX_="65536")[0] == "False"


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
