"""SABR: a small box within the whole one, which at full width is IBP."""

from __future__ import annotations

import pytest
import torch

from rsmooth.bounds import pixel_box
from rsmooth.defenses import IntervalTraining, Sabr
from tests.bounds import oracles
from tests.defenses.bounded import batch_of

OPTIONS = {
    "epsilon": 0.04,
    "epochs": 2,
    "warmup_epochs": 0,
    "warmup_from": 0,
    "regularizer_weight": 0.0,
    "l1_weight": 0.0,
}


def test_a_box_of_full_width_is_ibp() -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    found = Sabr(box_share=1.0, **OPTIONS).losses(batch_of(net, x, y))
    torch.testing.assert_close(found, IntervalTraining(**OPTIONS).losses(batch_of(net, x, y)))


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_small_box_is_within_the_whole_one_and_where_the_attack_is(share: float) -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    torch.manual_seed(0)
    done = Sabr(box_share=share, **OPTIONS).bounds(batch_of(net, x, y), 0.04)
    whole = pixel_box(x, 0.04)
    assert (done.box.lower >= whole.lower - 1e-12).all()
    assert (done.box.upper <= whole.upper + 1e-12).all()
    assert done.box.radius.max().item() == pytest.approx(share * 0.04)
    assert (done.box.center - x).abs().max() > 0.9 * (1 - share) * 0.04
    torch.testing.assert_close(done.logits, net(x))  # the clean pass is that of the images


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attack_steps": 0}, "expected attack_steps >= 1, got 0"),
        ({"box_share": 0.0}, r"expected box_share in \(0, 1\], got 0.0"),
    ],
)
def test_boxes_and_attacks_that_cannot_be_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sabr(epsilon=0.1, **options)
