"""How the base classifier is executed: profiles, probes and fall-backs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.certify import CertifySettings, certify, certify_dataset
from rsmooth.certify.votes import network as numerics
from rsmooth.certify.votes.network import FixedBatchNetwork, Profile, choose_network, default_batch
from rsmooth.data import ImageData
from rsmooth.plumbing.errors import RecordError
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images, sensitive, small_net
from tests.certify.votes.pools import SHAPE, make_pool


def choose(samples: float = 1e9, **options: Any) -> Profile:
    return choose_network(small_net(), SHAPE, CertifySettings(n=100, **options), samples).profile


def fake_timing(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[tuple[str, str], float]
) -> list[tuple[str, str]]:
    """Let a pass take the given seconds by (dtype, compiled); returns what was timed."""
    asked: list[tuple[str, str]] = []

    def timed(network: FixedBatchNetwork, shape: torch.Size) -> float:
        asked.append((network.profile.dtype, network.profile.compiled))
        return seconds[asked[-1]]

    monkeypatch.setattr(numerics, "pass_seconds", timed)
    monkeypatch.setattr(numerics, "_has_fast_bfloat16", lambda device: True)
    return asked


def test_votes_are_the_argmax_of_the_base_classifier() -> None:
    g = small_net()
    points = torch.rand(16, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = choose_network(g, SHAPE, CertifySettings(n=100, batch_size=16), 0)
    assert torch.equal(network(points), g.base(points).argmax(1))
    assert network.profile.dtype == "float32"
    assert network.profile.compiled == "no"


def test_short_run_is_plain_float32_and_a_long_one_takes_what_is_faster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = {
        ("float32", "no"): 1.0,
        ("bfloat16", "no"): 0.5,
        ("bfloat16", "inductor"): 0.3,
        ("float32", "inductor"): 0.8,
    }
    asked = fake_timing(monkeypatch, times)
    monkeypatch.setattr(torch, "compile", lambda net, **_: net)
    assert choose(samples=100).dtype == "float32"
    assert asked == [("float32", "no")]
    assert (choose().dtype, choose().compiled) == ("bfloat16", "inductor")
    assert (choose(compile="never").dtype, choose(compile="never").compiled) == ("bfloat16", "no")
    assert (choose(precision="float32").dtype, choose(precision="float32").compiled) == (
        "float32",
        "inductor",
    )
    assert choose(precision="float32", compile="never").dtype == "float32"
    times["bfloat16", "no"] = 0.95
    assert choose(compile="never").dtype == "float32", "a gain within the noise of the timing"


def test_missing_compiler_is_passed_over_unless_compiling_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler found")

    fake_timing(monkeypatch, {("float32", "no"): 1.0})
    monkeypatch.setattr(torch, "compile", broken)
    assert choose(precision="float32").compiled == "no"
    with pytest.raises(RuntimeError, match="no compiler"):
        choose(precision="float32", compile="always")


def test_layer_without_the_dtype_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnlyFloat32(nn.Linear):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            if z.dtype != torch.float32:
                raise RuntimeError("not implemented for this type")
            return super().forward(z)

    monkeypatch.setattr(numerics, "_has_fast_bfloat16", lambda device: True)
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), OnlyFloat32(16, 3)), 0.25, 3)
    assert (
        choose_network(g, SHAPE, CertifySettings(n=100, compile="never"), 1e12).profile.dtype
        == "float32"
    )


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


def test_default_batch_follows_the_size_of_the_images() -> None:
    assert default_batch(torch.Size((3, 32, 32)), on_gpu=False) == 128
    assert default_batch(torch.Size((1, 8, 8)), on_gpu=False) == 1024
    assert default_batch(torch.Size((3, 224, 224)), on_gpu=False) == 4
    assert default_batch(torch.Size((3, 32, 32)), on_gpu=True) == 4096


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


@pytest.mark.parametrize("workers", [1, 2])
def test_the_precision_of_matrix_products_is_recorded_and_the_workers_too(
    workers: int, tmp_path: Path
) -> None:
    data = ImageData(
        images(2), torch.zeros(2, dtype=torch.int64), torch.arange(2), 4, "random", "test"
    )
    torch.set_float32_matmul_precision("medium")
    try:
        log = certify_dataset(
            sensitive(), data, tmp_path, CertifySettings(n=20), workers=workers, progress=False
        )
    finally:
        torch.set_float32_matmul_precision("highest")
    assert log.provenance["numerics"]["float32_matmul"] == "medium"
    assert log.counts is not None
    assert log.counts[:, 3].tolist() == [20, 20], "expected the network to see the setting"
    with pytest.raises(RecordError, match="float32_matmul"):
        certify_dataset(
            sensitive(), data, tmp_path, CertifySettings(n=20), workers=workers, progress=False
        )


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
