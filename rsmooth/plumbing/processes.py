"""Child processes that a Ctrl-C in the terminal does not reach, and Ctrl-C sent by ourselves.

Windows has no sessions, no SIGALRM, and ends a process that is sent SIGINT by ``os.kill``. There a
child is a process group of its own, and what reaches it is Ctrl-Break.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TERMINATIONS = ("SIGTERM", "SIGHUP", "SIGBREAK")  # the last is of Windows alone


def apart() -> dict[str, Any]:
    """The options of ``subprocess.Popen`` for a child that only ``interrupt`` interrupts.

    subprocess.Popen(command, **apart())
    """
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def interrupt(process: subprocess.Popen[Any]) -> None:
    """Interrupt a child of ours as Ctrl-C would; nothing happens where it has ended."""
    process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT))  # the one of Windows


def on_interrupts(handler: Any) -> None:
    """Let what stops this process from outside call ``handler``, and SIGINT interrupt it.

    Of SIGTERM, of SIGHUP unless it is ignored as under nohup, and on Windows of Ctrl-Break. The
    background jobs of a shell inherit an ignored SIGINT, and the workers of Ray a blocked one.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    for number in terminations():
        signal.signal(number, handler)


def terminations() -> list[signal.Signals]:
    """What ends a process from outside; not the end of its terminal where nohup has it ignored.

    [each.name for each in terminations()]      # ["SIGTERM", "SIGHUP"]
    """
    there = [getattr(signal, name) for name in TERMINATIONS if hasattr(signal, name)]
    return [
        each for each in there if each.name != "SIGHUP" or signal.getsignal(each) != signal.SIG_IGN
    ]


@contextmanager
def terminations_interrupt() -> Iterator[None]:
    """A context in which SIGTERM or SIGHUP interrupts this process as Ctrl-C does.

        with terminations_interrupt():
            certify_dataset(g, data, "runs/a")

    So what a scheduler stops, or the end of a terminal, saves its work; not so under nohup, which
    ignores that end. On Windows it is Ctrl-Break. Outside the main thread signals cannot be caught,
    and nothing changes.
    """
    catch = threading.current_thread() is threading.main_thread()
    numbers = terminations() if catch else []
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            # None: a handler that is not Python's, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def interrupt_self(*signum_and_frame: object) -> None:
    """Interrupt this process as Ctrl-C would, from any of its threads."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGINT)


def interrupt_after(seconds: float | None) -> threading.Timer:
    """Interrupt this process after this time; ``cancel`` what is returned to call that off.

    None: never.
    """
    timer = threading.Timer(max(seconds or 0.0, 0.01), interrupt_self)
    timer.daemon = True
    if seconds is not None:
        timer.start()
    return timer


def usable_cores() -> int:
    """The cores that this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
