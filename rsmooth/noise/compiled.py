"""Rent or buy: a kernel is compiled once it has run long enough to pay for that."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

Kernel = Callable[..., Tensor]


class CompiledOnceWorthIt:
    """torch.compile for a pure function of tensors, put off until it pays.

        kernel = CompiledOnceWorthIt(pairs_torch, after=2**29, least=2**12)
        pairs = kernel(blocks, image_ids, sample_ids, keys, 0, blocks)   # None: compute it yourself

    after: the work, in the caller's unit, that is asked for before compiling. The total cost is
        then at most about twice that of the better choice.
    least: a call of less work stays uncompiled and counts for nothing, since compiling would cost
        more than it saves.

    ``status`` says for the record what happened and why. Without a working compiler, or with one
    that gives other bits at the first call, all calls stay uncompiled. Compiled and uncompiled
    results have the same bits. So no result depends on whether or when the switch happens.
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
        """The compiled kernel's result for a call of this much work.

        None where the caller should compute it itself.
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
            # Not on a GPU, where the host would wait; rsmooth selftest --compiled true looks there.
            if result.device.type == "cpu":
                expected = self._run(self._function, *arguments)
                if not torch.equal(result, expected):
                    raise ArithmeticError("the compiled kernel gave other bits")
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
