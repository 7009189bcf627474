"""Code of others within bounds: what it changes in the process is put back."""

from __future__ import annotations

import logging
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.random import RandomState, default_rng

# Number format, deterministic, warn only, threads; of cuDNN: enabled, benchmark, deterministic.
Switches = tuple[torch.dtype, bool, bool, int, bool, bool, bool]

# Two at once would take what the other's code has set for what was there before.
_one_isolated = threading.RLock()


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """A context after which random states and switches of the process are what they were.

        with isolated(x.device):
            reseed(7)
            x_adv = theirs(x, y)

    Random states: of torch (on the CPU and on ``device``), numpy and ``random``. Within, a numpy
    generator that is made without a seed takes it from numpy's state, so that ``reseed`` governs
    it too; numpy itself would ask the operating system. Switches: torch's
    gradient mode, default number format, deterministic and cuDNN settings, number of threads,
    numpy's error handling, the trace function that debuggers and coverage set, and the handlers of
    the root logger. They are those of the whole process, so other threads see what foreign code
    does to them meanwhile. A second thread that wants such a context waits.
    """
    with _one_isolated, _put_back(device):
        yield


@contextmanager
def _put_back(device: torch.device) -> Iterator[None]:
    numpys = np.random.get_state()  # noqa: NPY002 (the state that other libraries draw from)
    pythons = random.getstate()
    switches, trace = _switches(), sys.gettrace()
    makers = np.random.RandomState, np.random.default_rng
    try:
        np.random.RandomState, np.random.default_rng = _Seeded, _seeded_rng  # type: ignore[misc]
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            np.errstate(),
            torch.enable_grad(),
            root_logger(),
        ):
            yield
    finally:
        np.random.RandomState, np.random.default_rng = makers  # type: ignore[misc]
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
        _set_switches(switches)
        if sys.gettrace() is not trace:
            sys.settrace(trace)


@contextmanager
def root_logger() -> Iterator[None]:
    """A context after which the root logger has no handler that it did not have.

        with root_logger():
            logging.info("adds one that prints to stderr, where there is none")

    With one, all that the caller logs later is printed too, or twice.
    """
    before = list(logging.root.handlers)
    try:
        yield
    finally:
        for handler in [each for each in logging.root.handlers if each not in before]:
            logging.root.removeHandler(handler)


@contextmanager
def drawing_from(generator: torch.Generator | None, device: torch.device) -> Iterator[None]:
    """A context in which ``generator`` decides what others draw from the process's random states.

        with drawing_from(generator, x.device):
            x_adv = theirs(x, y)

    Afterwards these are what they were, as by ``isolated``. Without a generator it does nothing.
    """
    if generator is None:
        yield
        return
    seed = int(torch.randint(2**31 - 1, (), generator=generator, device=generator.device))
    with isolated(device):
        reseed(seed)
        yield


def reseed(seed: int) -> None:
    """Set the random states of torch, numpy and ``random``: 0 <= seed < 2**31."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


class _Any(type):
    """The kind of a class that takes every ``RandomState`` for one of its own."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RandomState)


class _Seeded(RandomState, metaclass=_Any):
    """A ``RandomState`` whose seed, where none is given, is drawn from numpy's state."""

    def __init__(self, seed: Any = None) -> None:
        super().__init__(_drawn() if seed is None else seed)


def _seeded_rng(seed: Any = None) -> np.random.Generator:
    return default_rng(_drawn() if seed is None else seed)


def _drawn() -> int:
    return int(np.random.randint(2**31))  # noqa: NPY002


def _switches() -> Switches:
    cudnn = torch.backends.cudnn
    return (
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.get_num_threads(),
        cudnn.enabled,
        cudnn.benchmark,
        cudnn.deterministic,
    )


def _set_switches(switches: Switches) -> None:
    """Put back what differs; setting what is as it was would cost, or warn."""
    if switches == _switches():
        return
    dtype, deterministic, warn_only, threads, enabled, benchmark, exact = switches
    torch.set_default_dtype(dtype)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.set_num_threads(threads)
    cudnn = torch.backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = enabled, benchmark, exact
