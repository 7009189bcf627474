"""Children apart from the terminal, and interruptions by ourselves, on systems with and without
POSIX.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from rsmooth.plumbing import processes
from rsmooth.plumbing.processes import (
    apart,
    interrupt,
    interrupt_after,
    terminations_interrupt,
    usable_cores,
)

# In short steps: a signal just before a sleep is heard after it.
SLEEPER = "import time; print('ready', flush=True); [time.sleep(0.1) for _ in range(600)]"


def test_a_child_apart_is_interrupted_by_us() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **apart()
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == b"ready"
        if hasattr(os, "getsid"):
            assert os.getsid(child.pid) != os.getsid(0), "expected a session of its own"
        interrupt(child)
        assert b"KeyboardInterrupt" in child.communicate(timeout=60)[1]
    interrupt(child)  # has ended: nothing happens


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="has no signals to block")
@pytest.mark.parametrize("spoil", ["block", "ignore"])
def test_a_child_hears_an_interrupt_whatever_it_inherited(spoil: str) -> None:
    """The workers of Ray block SIGINT, and the background jobs of a shell ignore it."""
    program = (
        "from rsmooth.plumbing.processes import interrupt_self, on_interrupts\n"
        f"on_interrupts(interrupt_self)\n{SLEEPER}"
    )

    def before() -> None:
        if spoil == "block":
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        else:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    for number in (signal.SIGINT, signal.SIGTERM):
        with subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=before,
            **apart(),
        ) as child:
            assert child.stdout is not None
            assert child.stdout.readline().strip() == b"ready"
            child.send_signal(number)
            try:
                assert b"KeyboardInterrupt" in child.communicate(timeout=20)[1]
            finally:
                child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself SIGTERM")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])  # of a scheduler; of a terminal that closes
def test_a_termination_interrupts_within_the_context_alone(name: str) -> None:
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), terminations_interrupt():  # noqa: PT012
            os.kill(os.getpid(), number)
            time.sleep(30)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="has no such signal")
@pytest.mark.parametrize("caught", [False, True])
def test_under_nohup_the_end_of_the_terminal_stays_ignored(caught: bool) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL if caught else signal.SIG_IGN)
    try:
        with terminations_interrupt():
            assert (signal.getsignal(signal.SIGHUP) == signal.SIG_IGN) is not caught
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_nothing_changes() -> None:
    seen: list[object] = []

    def within() -> None:
        with terminations_interrupt():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]


def test_time_that_is_up_interrupts_this_process() -> None:
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        interrupt_after(0.05)
        time.sleep(30)


def test_a_timer_may_be_called_off() -> None:
    interrupt_after(0.2).cancel()
    interrupt_after(None)
    time.sleep(0.4)


def test_windows_gets_groups_and_ctrl_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 512, raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    sent: list[Any] = []
    assert apart() == {"creationflags": 512}
    interrupt(SimpleNamespace(send_signal=sent.append))  # type: ignore[arg-type]
    assert sent == [1]
    with pytest.raises(KeyboardInterrupt):
        processes.interrupt_self()


def test_a_system_without_affinity_has_all_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1
