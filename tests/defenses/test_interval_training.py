"""IBP and CROWN-IBP: which margins they learn, and their published options."""

from __future__ import annotations

import pytest
import torch

from rsmooth.bounds import margin_bounds, worst_case_logits
from rsmooth.defenses import CrownIbpTraining, IntervalTraining
from tests.bounds import oracles
from tests.defenses.bounded import batch_of

OPTIONS = {
    "epsilon": 0.04,
    "epochs": 2,
    "warmup_from": 0,
    "warmup_epochs": 1,
    "warmup_per": "step",
    "regularizer_weight": 0.0,
}


def worst(net: torch.nn.Module, method: str, epsilon: float) -> torch.Tensor:
    x, y = oracles.images("plain")
    margins = margin_bounds(net, x, y, epsilon=epsilon, method=method)
    return torch.nn.functional.cross_entropy(worst_case_logits(margins), y, reduction="none")


def test_ibp_learns_the_margins_of_intervals_at_the_present_epsilon() -> None:
    net = oracles.network("plain")
    batch = batch_of(net, *oracles.images("plain"), progress=0.25)
    found = IntervalTraining(**OPTIONS).losses(batch)
    torch.testing.assert_close(found, worst(net, "ibp", 0.01))


@pytest.mark.parametrize(("end", "method"), [(1.0, "crown-ibp"), (0.0, "ibp")])
def test_beta_goes_from_the_backward_pass_to_its_end(end: float, method: str) -> None:
    net = oracles.network("plain")
    batch = batch_of(net, *oracles.images("plain"), progress=1.0)
    found = CrownIbpTraining(beta_end=end, **OPTIONS).losses(batch)
    torch.testing.assert_close(found, worst(net, method, 0.04))
    assert float(batch.notes["beta"][0]) == end


def test_the_defaults_are_the_short_published_recipe() -> None:
    trainer = IntervalTraining(epsilon=2 / 255)
    assert (trainer.epochs, trainer.batch_size, trainer.lr, trainer.optimizer) == (
        160,
        128,
        5e-4,
        "adam",
    )
    assert trainer.epsilon_at(1.0) == 0.0
    assert 0 < trainer.epsilon_at(2.0) < 1e-4 * 2 / 255
    assert trainer.epsilon_at(80.9) < trainer.epsilon_at(81.0) == 2 / 255


@pytest.mark.parametrize("name", ["beta_start", "beta_end"])
def test_a_beta_off_the_unit_interval_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"expected {name} in \[0, 1\], got -0.5"):
        CrownIbpTraining(epsilon=0.1, **{name: -0.5})
