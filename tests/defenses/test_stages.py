"""Later stages: they are left the images that no earlier one certifies, right or wrong."""

from __future__ import annotations

import pytest
import torch

from rsmooth.bounds import margin_bounds
from rsmooth.defenses import BoundTraining, IntervalTraining, WongKolter, uncertified
from rsmooth.defenses.bound_training import proven
from tests.training.helpers import classifier, images

OPTIONS = {"epochs": 2, "warmup_epochs": 1, "warmup_from": 0}


def test_an_image_is_left_if_no_stage_certifies_its_own_answer() -> None:
    trainer = IntervalTraining(epsilon=0.05, **OPTIONS)
    stages = [classifier(name, sigma=0.0) for name in ("mlp", "small-cnn")]
    data = images()
    left = uncertified(trainer, stages, data, batch_size=7)
    x = data.images.float() / 255
    held = torch.zeros(len(data), dtype=torch.bool)
    for stage in stages:
        said = stage.base(x).argmax(1)
        held |= proven(margin_bounds(stage.base, x, said, epsilon=0.05, method="ibp"), said)
    assert 0 < int(held.sum()) < len(data)
    assert torch.equal(left.index, data.index[~held])
    alone = uncertified(trainer, stages[:1], data)
    assert set(left.index.tolist()) <= set(alone.index.tolist())


@pytest.mark.parametrize(
    "trainer", [IntervalTraining(epsilon=0.05, **OPTIONS), WongKolter(epsilon=0.05, **OPTIONS)]
)
def test_stages_of_float64_hold_the_same_images(trainer: BoundTraining) -> None:
    g, data = classifier("mlp", sigma=0.0), images()
    expected = uncertified(trainer, [g], data).index
    assert torch.equal(uncertified(trainer, [g.double()], data).index, expected)
    with pytest.raises(ValueError, match=r"all float32 or all float64, .* got torch.bfloat16;"):
        uncertified(trainer, [g.bfloat16()], data)


def test_projections_decide_where_training_uses_them() -> None:
    net, data = classifier(sigma=0.0).eval().base, images()
    x, y = data.images.float() / 255, data.labels
    exact = WongKolter(epsilon=0.05, **OPTIONS).margins_of(net, x, y)
    torch.testing.assert_close(
        exact, margin_bounds(net, x, y, epsilon=0.05, method="fast-lin", clip=None)
    )
    torch.manual_seed(0)
    estimated = WongKolter(epsilon=0.05, projections=3, **OPTIONS).margins_of(net, x, y)
    assert not torch.allclose(estimated, exact, rtol=0.01)


def test_stages_that_leave_nothing_or_have_noise_are_refused() -> None:
    trainer = IntervalTraining(epsilon=1e-9, **OPTIONS)
    with pytest.raises(ValueError, match="expected images that no earlier stage certifies, got no"):
        uncertified(trainer, [classifier("mlp", sigma=0.0)], images())
    with pytest.raises(ValueError, match="expected a classifier without noise"):
        uncertified(trainer, [classifier()], images())
    for size in (0, -3, True):
        with pytest.raises(ValueError, match="batch_size"):
            uncertified(trainer, [classifier("mlp", sigma=0.0)], images(), batch_size=size)


def test_stages_keep_their_modes() -> None:
    g = classifier(sigma=0.0).train()
    uncertified(IntervalTraining(epsilon=0.5, **OPTIONS), [g], images(8))
    assert g.training
    assert all(part.training for part in g.base.modules())
