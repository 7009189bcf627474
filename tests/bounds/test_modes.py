"""Layers with modes are the affine maps that they are at the time."""

import pytest
import torch
from torch import nn

from rsmooth.bounds.modes import BatchNorm, Dropout, Factor, Normalization
from rsmooth.models.normalize import Normalize


def batch_norm(**options):
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(3, **options).double()
    layer.running_mean.normal_()
    layer.running_var.uniform_(0.5, 2.0)
    if layer.affine:
        nn.init.normal_(layer.weight)
        nn.init.normal_(layer.bias)
    return layer.eval()


MODED = {
    "normalize": Normalization(Normalize((0.1, 0.2, 0.3), (0.5, 0.25, 2.0)).double()),
    "centre": Normalization(Normalize((0.1, 0.2, 0.3)).double()),
    "divide": Factor(3.0, divide=True),
    "multiply": Factor(-3.0, divide=False),
    "dropout": Dropout(nn.Dropout().eval()),
    "batch-norm": BatchNorm(batch_norm()),
    "batch-norm-plain": BatchNorm(batch_norm(affine=False)),
}


@pytest.mark.parametrize("name", MODED)
def test_the_fixed_map_is_the_layer(name):
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    value, clean = MODED[name].clean(x, name, update=True)
    fixed = MODED[name].fixed(name)
    torch.testing.assert_close(fixed.apply(x), value)
    torch.testing.assert_close(clean.apply(x), value)
    if hasattr(MODED[name], "layer"):
        assert torch.equal(MODED[name].layer(x), value)
    assert (fixed.shift_size >= fixed.shift.abs()).all()


@pytest.mark.parametrize("update", [True, False])
def test_batch_norm_in_train_mode_is_the_map_of_its_batch(update):
    layer = batch_norm().train()
    before = layer.running_mean.clone()
    x = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    value, clean = BatchNorm(layer).clean(x, "bn", update=update)
    torch.testing.assert_close(clean.apply(x), value)
    torch.testing.assert_close(value, batch_norm().train()(x))
    assert torch.equal(layer.running_mean, before) != update
    with pytest.raises(ValueError, match="eval mode, with running statistics, got bn"):
        BatchNorm(layer).fixed("bn")


@pytest.mark.parametrize("mode", [True, False])
def test_batch_norm_of_vectors_is_the_layer(mode):
    layer = nn.BatchNorm1d(3).double().train(mode)
    nn.init.normal_(layer.running_mean), nn.init.normal_(layer.weight), nn.init.normal_(layer.bias)
    x = torch.randn(5, 3, dtype=torch.float64)
    value, clean = BatchNorm(layer).clean(x, "bn", update=False)
    torch.testing.assert_close(value, layer(x))
    torch.testing.assert_close(clean.apply(x), value)


def test_dropout_in_train_mode_is_refused():
    with pytest.raises(ValueError, match=r"expected dropout in eval mode, got 3\.drop"):
        Dropout(nn.Dropout()).fixed("3.drop")
