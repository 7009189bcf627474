"""The choice of a profile: what is timed, and what is passed over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rsmooth.certify import CertifySettings
from rsmooth.certify.votes import choice as chosen
from rsmooth.certify.votes.choice import choose_network
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.profile import Profile
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import small_net
from tests.certify.votes.pools import SHAPE


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

    monkeypatch.setattr(chosen, "pass_seconds", timed)
    monkeypatch.setattr(chosen, "_has_fast_bfloat16", lambda device: True)
    return asked


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

    monkeypatch.setattr(chosen, "_has_fast_bfloat16", lambda device: True)
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), OnlyFloat32(16, 3)), 0.25, 3)
    assert (
        choose_network(g, SHAPE, CertifySettings(n=100, compile="never"), 1e12).profile.dtype
        == "float32"
    )
