"""Wide ResNets: parameters, blocks, options."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.registry import MODELS


@pytest.mark.parametrize(
    ("depth", "widen", "parameters"), [(28, 10, 36_479_194), (16, 4, 2_748_890)]
)
def test_parameters_are_those_of_the_paper(depth, widen, parameters):
    with torch.device("meta"):
        model = MODELS.create("wrn-28-10", depth=depth, widen=widen)
    assert sum(own.numel() for own in model.parameters()) == parameters
    counted = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert len([layer for layer in counted if layer.kernel_size == (3, 3)]) + 4 == depth + 1


def test_a_block_is_its_formula():
    torch.manual_seed(0)
    model = MODELS.create("wrn-28-10", depth=10, widen=2)
    x = torch.randn(2, 32, 8, 8)
    block = model[1][2].eval()  # 32 -> 64 channels, at half the size
    active = block.bn1(x).relu()
    by_formula = block.shortcut(active) + block.conv2(block.bn2(block.conv1(active)).relu())
    torch.testing.assert_close(block(x), by_formula)
    same = MODELS.create("wrn-28-10", depth=16, widen=1)[1][2].eval()
    x = torch.randn(2, 16, 8, 8)
    kept = x.clone()
    body = same.conv2(same.bn2(same.conv1(same.bn1(x).relu())).relu())
    torch.testing.assert_close(same(x), kept + body)


def test_depths_that_no_such_network_has_are_refused():
    with pytest.raises(ValueError, match=r"expected a depth of 6n \+ 4 .*, got 27"):
        MODELS.create("wrn-28-10", depth=27)
    with pytest.raises(ValueError, match="expected widen >= 1, got 0"):
        MODELS.create("wrn-28-10", widen=0)
