"""A helper process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

POLL_SECONDS = 0.5
_SYNCHRONIZE, _FOREVER = 0x00100000, 0xFFFFFFFF  # of the Windows API


def end_with_parent(stop: Callable[[], object], parent: int | None = None) -> None:
    """Call ``stop`` once the process that started this one is gone; returns at once.

    parent: its process id. Who passes it on is safe even where the parent dies before this call;
    None takes the parent of now.
    """
    told = os.getppid() if parent is None else parent

    def watch() -> None:
        if sys.platform == "win32":
            _wait_on_windows(told)
        else:
            while os.getppid() == told:  # the orphan of a dead process gets another one at once
                time.sleep(POLL_SECONDS)
        stop()

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()


def _wait_on_windows(process: int) -> None:
    """Wait for a process to end, where an orphan keeps the number of its parent."""
    kernel: Any = getattr(ctypes, "windll").kernel32  # noqa: B009
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(_SYNCHRONIZE, False, process)
    if handle:  # else it is gone already
        kernel.WaitForSingleObject(ctypes.c_void_p(handle), _FOREVER)
        kernel.CloseHandle(ctypes.c_void_p(handle))
