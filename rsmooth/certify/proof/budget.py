"""An allowance of failure probability that cannot be overspent."""

from __future__ import annotations

import math

from rsmooth.plumbing.numbers import check_alpha

_ROUNDING = 1e-12  # relative; sums of shares such as 0.2 + 0.8 must fit


class ErrorBudget:
    """An account of the failure probability alpha: who spent how much.

        budget = ErrorBudget(0.001)
        budget.spend(0.0005, "look 1")
        budget.left                        # 0.0005

    By the union bound, all of it together fails with probability at most the sum.
    """

    def __init__(self, alpha: float) -> None:
        self.alpha = check_alpha(alpha)
        self.ledger: list[tuple[str, float]] = []

    @property
    def spent(self) -> float:
        """The sum of all that was spent."""
        return math.fsum(amount for _, amount in self.ledger)

    @property
    def left(self) -> float:
        """What may still be spent, never negative."""
        return max(self.alpha - self.spent, 0.0)

    def spend(self, amount: float, what: str) -> float:
        """Note that ``what`` uses ``amount`` of alpha, and return the amount.

        ValueError, without an entry, where less than that is left.
        """
        if not (math.isfinite(amount) and amount >= 0.0):
            raise ValueError(f"expected a failure probability >= 0 for {what}, got {amount!r}")
        if self.spent + amount > self.alpha * (1.0 + _ROUNDING):
            raise ValueError(
                f"expected {what} to spend at most the {self.left:.3g} left of "
                f"alpha={self.alpha:g}, got {amount:.3g}; spent before: "
                f"{self._account() or 'nothing'}"
            )
        self.ledger.append((what, amount))
        return amount

    def __repr__(self) -> str:
        return (
            f"ErrorBudget(alpha={self.alpha:g}, spent={self.spent:.6g}: "
            f"{self._account() or 'nothing'})"
        )

    def _account(self) -> str:
        return ", ".join(f"{what} {amount:.3g}" for what, amount in self.ledger)
