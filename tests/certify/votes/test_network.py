"""The base classifier as it is executed: votes, the record of its precision, images apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.certify import CertifySettings, certify
from rsmooth.certify.votes.choice import choose_network
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images, small_net
from tests.certify.votes.pools import SHAPE, make_pool


def test_votes_are_the_argmax_of_the_base_classifier() -> None:
    g = small_net()
    points = torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = choose_network(g, SHAPE, CertifySettings(n=100, batch_size=16), 0)
    assert torch.equal(network(points), g.base(points).argmax(1))
    assert network.profile.dtype == "float32"
    assert network.profile.compiled == "no"


def test_precision_changes_the_function_and_the_record() -> None:
    g = small_net()
    points = torch.rand(256, *SHAPE, generator=torch.Generator().manual_seed(0))
    logits = {}
    for precision in ("float32", "bfloat16"):
        options: Any = {"precision": precision, "batch_size": 256, "compile": "never"}
        settings = CertifySettings(n=100, **options)
        network = choose_network(g, SHAPE, settings, 0)
        assert network.profile.record()["dtype"] == precision
        with torch.no_grad():
            logits[precision] = network._net(points.to(getattr(torch, precision))).float()
    assert not torch.equal(logits["float32"], logits["bfloat16"])
    assert torch.allclose(logits["float32"], logits["bfloat16"], atol=0.2)


def test_callers_switches_do_not_change_what_is_executed(monkeypatch: pytest.MonkeyPatch) -> None:
    g = small_net()
    points = torch.rand(64, *SHAPE, generator=torch.Generator().manual_seed(0))
    network, seen = choose_network(g, SHAPE, CertifySettings(n=100, batch_size=64), 0), []
    watch = nn.modules.module.register_module_forward_hook(
        lambda module, given, out: seen.append((out.dtype, torch.backends.cudnn.benchmark))
    )
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with watch, torch.autocast("cpu", dtype=torch.bfloat16):
        network(points)
    assert set(seen) == {(torch.float32, False)}
    assert torch.backends.cudnn.benchmark


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm2d(6, track_running_stats=False), nn.GroupNorm(2, 6), nn.Dropout(0.5)]
)
def test_a_network_that_mixes_the_images_of_a_batch_is_refused(layer: nn.Module) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 6, 3), layer, nn.ReLU(), nn.Flatten(), nn.Linear(24, 4))
    g, x = SmoothedClassifier(net.train(), 0.25, 4), images(2)
    if isinstance(layer, nn.BatchNorm2d):
        with pytest.raises(ValueError, match="answers each image on its own"):
            certify(g, x, n=20)
    else:
        assert int(certify(g, x, n=20).counts.sum()) == 40
        assert net.training, "expected the caller's model as it was"


def test_randomness_in_a_network_passes() -> None:
    class Random(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.randn(len(z), 4)

    assert int(certify(SmoothedClassifier(Random(), 0.25, 4), images(2), n=20).counts.sum()) == 40


def test_logits_do_not_depend_on_the_place_in_the_batch_or_on_the_padding() -> None:
    pool = make_pool()
    points = torch.rand(32, *SHAPE, generator=torch.Generator().manual_seed(0))
    net = pool.network._net
    order = torch.randperm(32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(net(points)[order], net(points[order]))
        padded = torch.cat([points[:5], torch.rand(27, *SHAPE)])
        assert torch.equal(net(padded)[:5], net(points)[:5])
