"""Running statistics tell the normalisation and the noise under which they came about."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.doctor.batch_norm import first_batch_norm, fit, shifted
from rsmooth.doctor.sample import candidates
from rsmooth.models.normalize import Normalize

from .helpers import digits_sample, trained

SIGMAS = (0.0, 0.12, 0.25, 0.5, 1.0)


def test_a_trained_network_tells_both() -> None:
    x = digits_sample().x
    found = fit(trained()[1], candidates(x), x, SIGMAS)
    assert found is not None
    assert found.possible_normalizations() == ["0.5:0.5"]
    assert found.possible_sigmas() == [0.25]
    assert found.best[:2] == ("0.5:0.5", 0.25)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("constants", [(0.4, 0.3), (0.2, 0.9)])
def test_statistics_that_were_made_so(sigma: float, constants: tuple[float, float]) -> None:
    """Batch norm that sees images under known noise and constants, and nothing else."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3, bias=False), nn.BatchNorm2d(6, momentum=None))
    x = digits_sample().x
    layers: dict[str, nn.Module] = {
        "right": Normalize(*constants),
        "mean": Normalize(constants[0] + 0.1, constants[1]),
        "std": Normalize(constants[0], 1.2 * constants[1]),
    }
    with torch.no_grad():
        net.train()(layers["right"](x + sigma * torch.randn(x.shape)))
    net[1].num_batches_tracked.fill_(1000)
    found = fit(net.eval(), layers, x, SIGMAS)
    assert found is not None
    assert (found.possible_normalizations()[0], found.possible_sigmas()) == ("right", [sigma])
    assert found.best == ("right", sigma, False)


def test_statistics_that_nothing_explains_name_nothing() -> None:
    net = trained()[1]
    net[1].running_var.mul_(100)
    x = digits_sample().x
    found = fit(net, candidates(x), x, SIGMAS)
    assert found is not None
    assert not found.good
    assert found.possible_normalizations() == []
    assert found.possible_sigmas() == []


def test_batch_norm_that_says_nothing() -> None:
    x = digits_sample().x
    young = trained()[1]
    young[1].num_batches_tracked.fill_(10)
    fresh = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    without = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, track_running_stats=False))
    for net in (young, fresh, without, nn.Flatten()):
        assert first_batch_norm(net) is None
        assert fit(net, candidates(x), x, SIGMAS) is None


def test_shifted_images_have_black_edges_and_the_same_pixels() -> None:
    x = torch.rand(5, 1, 32, 32) + 1
    moved = shifted(x)
    assert moved.shape == x.shape
    assert all(torch.isin(b[b > 0], a).all() for a, b in zip(x, moved, strict=True))
    assert (moved == 0).any()
    assert torch.equal(moved, shifted(x))
