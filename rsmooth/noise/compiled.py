"""Rent or buy: a kernel runs uncompiled until the time spent on it would have paid for compiling
it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

Kernel = Callable[..., Tensor]


class CompiledOnceWorthIt:
    """torch.compile for a pure function of tensors, put off until it pays, and done without where
    it cannot be had.

    after: how much work (in the caller's unit) has to be asked for in all before compiling; the
    total cost is then at most about twice that of the better choice. least: a call of less work
    stays uncompiled, since it would cost more than it saves, and counts for nothing. ``status``
    says what became of it and why, for the record. Compiled and uncompiled results are the same
    bits, so no result depends on when the switch happens, or whether.
    """

    def __init__(self, function: Kernel, *, after: int, least: int) -> None:
        self.status = "uncompiled: too little work so far"
        self._function = function
        self._after = after
        self._least = least
        self._work = 0
        self._kernel: Kernel | None = None
        self._settled = False
        self._lock = threading.Lock()

    def expect(self, work: int) -> None:
        """Count work that is still to come, so that a long run compiles at its start."""
        with self._lock:
            self._work += work

    def __call__(self, work: int, *arguments: Tensor | int) -> Tensor | None:
        """The compiled kernel's result for a call of this much work; None if the caller should
        compute it itself.
        """
        if work < self._least:
            return None
        if not self._settled:
            with self._lock:
                self._work += work
                if self._work >= self._after and not self._settled:
                    return self._first(*arguments)
        return None if self._kernel is None else self._run(self._kernel, *arguments)

    def _first(self, *arguments: Tensor | int) -> Tensor | None:
        # Which exception a missing or broken compiler raises differs from one platform and release
        # to the next; an error that is no compiler's shows itself again when the caller computes
        # the result uncompiled.
        try:
            kernel = torch.compile(self._function, dynamic=True, fullgraph=True)
            result = self._run(kernel, *arguments)
        except Exception as error:
            self.status = " ".join(f"uncompiled: {type(error).__name__}: {error}".split())[:200]
            return None
        else:
            self._kernel, self.status = kernel, "compiled"
            return result
        finally:
            self._settled = True

    @staticmethod
    def _run(kernel: Kernel, *arguments: Tensor | int) -> Tensor:
        with torch.no_grad():  # integers have no gradients, and one mode needs one compilation
            return kernel(*arguments)
