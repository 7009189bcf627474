"""Code of others within bounds: what it changes in the process is put back."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

# Number format, deterministic, warn only, threads; of cuDNN: enabled, benchmark, deterministic.
Switches = tuple[torch.dtype, bool, bool, int, bool, bool, bool]


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """A context after which random states and switches of the process are what they were.

        with isolated(x.device):
            reseed(7)
            x_adv = theirs(x, y)

    Random states: of torch (on the CPU and on ``device``), numpy and ``random``. Switches: torch's
    gradient mode, default number format, deterministic and cuDNN settings, number of threads,
    numpy's error handling, and the trace function that debuggers and coverage set. They are those
    of the whole process, so other threads see what foreign code does to them meanwhile.
    """
    numpys = np.random.get_state()  # noqa: NPY002 (the state that other libraries draw from)
    pythons = random.getstate()
    switches, trace = _switches(), sys.gettrace()
    try:
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            np.errstate(),
            torch.enable_grad(),
        ):
            yield
    finally:
        np.random.set_state(numpys)  # noqa: NPY002
        random.setstate(pythons)
        _set_switches(switches)
        if sys.gettrace() is not trace:
            sys.settrace(trace)


def reseed(seed: int) -> None:
    """Set the random states of torch, numpy and ``random``: 0 <= seed < 2**31."""
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    random.seed(seed)


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
