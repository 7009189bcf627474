"""An allowance of failure probability that cannot be overspent, and what may be appended to an earlier run."""

from __future__ import annotations

import math

from rsmooth.checks import check_alpha

_ROUNDING = 1e-12  # relative; sums of shares such as 0.2 + 0.8 must fit


class ErrorBudget:
    """An account of the failure probability alpha: who spent how much; by the union bound the sum covers all."""

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
        """Note that ``what`` uses ``amount`` of alpha, and return it; ValueError, and no entry, if it is not there."""
        if not (math.isfinite(amount) and amount >= 0.0):
            raise ValueError(f"expected a failure probability >= 0 for {what}, got {amount!r}")
        if self.spent + amount > self.alpha * (1.0 + _ROUNDING):
            raise ValueError(
                f"expected {what} to spend at most the {self.left:.3g} left of alpha={self.alpha:g}, "
                f"got {amount:.3g}; spent before: {self._account() or 'nothing'}"
            )
        self.ledger.append((what, amount))
        return amount

    def __repr__(self) -> str:
        return f"ErrorBudget(alpha={self.alpha:g}, spent={self.spent:.6g}: {self._account() or 'nothing'})"

    def _account(self) -> str:
        return ", ".join(f"{what} {amount:.3g}" for what, amount in self.ledger)


def extension_refusal(
    planned_n: int, wanted_n: int, *, alpha: float, spent: float, retest_alpha: float, outcome_seen: bool
) -> str | None:
    """Why the votes of an earlier run may not be extended to ``wanted_n`` and judged anew, or None where they may.

    ``planned_n`` is the n, or the last look, that the run was designed for, ``spent`` the failure probability of the
    judgements made so far, ``retest_alpha`` that of the new one, ``alpha`` what all may fail with together.

    Up to planned_n a run is only resumed, also past a look that gave up, since giving up is non-binding. Beyond it the
    earlier judgement was a chance to certify of its own: judging again at full alpha fails with up to twice alpha when
    only the images that failed, or that looked promising, are extended. It is sound where n was raised without regard
    to any outcome and only the judgement at ``wanted_n`` counts, or where both judgements together fit into alpha.
    """
    if wanted_n <= planned_n or not outcome_seen:
        return None
    if spent + retest_alpha <= check_alpha(alpha) * (1.0 + _ROUNDING):
        return None
    return (
        f"expected the judgements at n={planned_n} and n={wanted_n} to fail with at most alpha={alpha:g} together, got "
        f"{spent:g} + {retest_alpha:g}; judge anew at {max(alpha - spent, 0.0):g}, or certify from fresh votes"
    )
