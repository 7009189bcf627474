"""MTL-IBP: IBP at one end, attacked images under the clean batch norm at the other."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.attacks import PGD
from rsmooth.defenses import IntervalTraining, MtlIbp
from rsmooth.defenses.mtl_ibp import attacked
from tests.bounds import oracles
from tests.defenses.bounded import batch_of

LINE = {"epsilon": 0.04, "epochs": 2, "warmup_from": 0, "warmup_epochs": 1, "warmup_per": "step"}
OPTIONS = {**LINE, "regularizer_weight": 0.0, "l1_weight": 0.0}


def test_without_the_attack_it_is_ibp() -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    found = MtlIbp(kappa_start=0.0, kappa_end=0.0, **OPTIONS).losses(batch_of(net, x, y, 0.5))
    torch.testing.assert_close(found, IntervalTraining(**OPTIONS).losses(batch_of(net, x, y, 0.5)))


def test_the_rest_is_the_loss_at_the_attacked_images() -> None:
    """Its radius is twice that of the bounds, and grows with it."""
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    torch.manual_seed(0)
    found = MtlIbp(kappa_start=1.0, kappa_end=1.0, **OPTIONS).losses(batch_of(net, x, y, 0.5))
    torch.manual_seed(0)
    batch = batch_of(net, x, y)
    attack = PGD(epsilon=0.04, steps=1, norm="linf", random_start=True)
    x_adv = attack(batch.g, x, y)
    assert (x_adv - x).abs().max() > 0.03
    torch.testing.assert_close(found, cross_entropy(net(x_adv), y, reduction="none"))


def test_attacked_images_are_judged_by_the_batch_norm_of_the_clean_ones() -> None:
    """By hand: a net whose running statistics are those of the clean batch, in eval mode."""
    net, (x, y) = oracles.network("resnet8").train(), oracles.images("resnet8")
    torch.manual_seed(0)
    trainer = MtlIbp(kappa_start=1.0, kappa_end=1.0, **OPTIONS)
    found = trainer.losses(batch_of(net, x, y, 0.5))

    fresh = oracles.network("resnet8").train()
    sizes: dict[str, int] = {}
    for name, layer in fresh.named_modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
            layer.register_forward_hook(
                lambda _, args, out, name=name: sizes.update({name: out[:, 0].numel()})
            )
    fresh(x)
    for name, count in sizes.items():
        # Running variances are unbiased, those that normalise a batch are not.
        fresh.get_submodule(name).running_var.mul_((count - 1) / count)
    torch.manual_seed(0)
    x_adv = attacked(batch_of(net, x, y), 0.04, 1)  # by net's own running statistics
    expected = cross_entropy(fresh.eval()(x_adv), y, reduction="none")
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"attack_steps": 0}, "expected attack_steps >= 1, got 0"),
        ({"attack_scale": 0.0}, "expected a finite attack_scale > 0, got 0.0"),
        ({"attack_scale": float("inf")}, "expected a finite attack_scale > 0, got inf"),
    ],
)
def test_an_attack_that_does_nothing_is_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        MtlIbp(epsilon=0.1, **options)
