"""A helper process that ends with the one that started it, however that one ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.5


def end_with_parent(stop: Callable[[], object], parent: int | None = None) -> None:
    """Call ``stop`` once the process that started this one is gone; returns at once.

    parent: its process id. Who passes it on is safe even where the parent dies before this call;
    None takes the parent of now.
    """
    told = os.getppid() if parent is None else parent

    def watch() -> None:
        while os.getppid() == told:  # the orphan of a dead process gets another parent at once
            time.sleep(POLL_SECONDS)
        stop()

    threading.Thread(target=watch, daemon=True, name="end-with-parent").start()
