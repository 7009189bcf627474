"""How many floating-point operations a network needs: a number of the model, not of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """torch's formulas for what this thread does; its own counter also watches other threads."""

    def __init__(self) -> None:
        # Only here: with it comes triton, which is not to cost every start of a program.
        from torch.utils.flop_counter import flop_registry

        super().__init__()  # type: ignore[no-untyped-call]
        self.total, self._formulas = 0, flop_registry

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: what is counted is not compiled, and to skip it loads the compiler, for seconds."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        answer = function(*args, **(kwargs or {}))
        formula = self._formulas.get(function.overloadpacket)
        if formula is not None:
            self.total += int(formula(*args, **(kwargs or {}), out_val=answer))
        return answer


@contextmanager
def counted_operations() -> Iterator[_Counter]:
    """A context that counts the operations of convolutions, matrix products and attention.

        with counted_operations() as operations:
            base(x)
        operations.total / len(x)

    A multiplication and an addition are two operations.
    """
    with _Counter() as counter:
        yield counter
