import pytest
from scipy import stats

from rsmooth.certify.proof.bounds import hits_needed
from rsmooth.certify.proof.budget import ErrorBudget


def test_an_account_is_kept_and_never_overspent():
    budget = ErrorBudget(0.001)
    assert budget.spend(0.0002, "interim looks") == 0.0002
    with pytest.raises(
        ValueError, match=r"at most the 0.0008 left of alpha=0.001.*interim looks 0.0002"
    ):
        budget.spend(0.0009, "transfer")
    assert budget.ledger == [("interim looks", 0.0002)]
    budget.spend(0.0008, "last look")
    assert budget.spent == pytest.approx(0.001)
    assert budget.left == pytest.approx(0.0, abs=1e-18)
    assert "last look 0.0008" in repr(budget)
    with pytest.raises(ValueError, match="0 left"):
        budget.spend(1e-9, "one more")


@pytest.mark.parametrize("shares", [[0.01] * 10, [0.1, 0.2]])  # 0.1 + 0.2 exceeds 0.3 as a float
def test_shares_that_add_up_to_alpha_fit_in_spite_of_rounding(shares):
    budget = ErrorBudget(round(sum(shares), 3))
    for k, share in enumerate(shares):
        budget.spend(share, f"look {k}")
    assert 0.0 <= budget.left <= 1e-12


@pytest.mark.parametrize("amount", [-1e-6, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(amount):
    with pytest.raises(ValueError, match="failure probability >= 0 for a look"):
        ErrorBudget(0.001).spend(amount, "a look")


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_alpha_must_be_one(alpha):
    with pytest.raises(ValueError, match="alpha"):
        ErrorBudget(alpha)


def test_why_appending_and_testing_again_at_full_alpha_is_refused():
    # two chances at alpha each, the second for the streams that failed the first: the error is well
    # above alpha
    alpha, p = 0.001, 0.5
    first, second = hits_needed(1.0, 0.0, 200, alpha), hits_needed(1.0, 0.0, 2_000, alpha)
    early = stats.binom.sf(first - 1, 200, p)
    late = sum(
        stats.binom.pmf(x, 200, p) * stats.binom.sf(second - 1 - x, 1_800, p) for x in range(first)
    )
    assert early <= alpha
    assert early + late > 1.5 * alpha
