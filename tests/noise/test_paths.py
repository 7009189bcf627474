"""The comparison of implementations finds one that gives other bits."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.noise import paths
from rsmooth.noise.distributions import Gaussian, Laplace, NoiseDistribution, Uniform
from rsmooth.noise.keys import derive_key
from rsmooth.noise.paths import same_bits

KEY, CPU = derive_key(3, "estimate"), torch.device("cpu")


@pytest.mark.parametrize("noise", [Gaussian(1.0), Uniform(0.1), Laplace(0.5)])
def test_all_ways_agree(noise: NoiseDistribution) -> None:
    checks = list(same_bits(noise, KEY, CPU, compiled=False))
    assert [check.passed for check in checks] == [True] * 3


@pytest.mark.parametrize("way", ["pairs_torch", "lazy", "dense"])
def test_one_changed_bit_is_found(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    right = getattr(paths, way)

    def wrong(*arguments: Any) -> torch.Tensor:
        found: torch.Tensor = right(*arguments).clone()
        found.view(-1)[-1] ^= 1
        return found

    monkeypatch.setattr(paths, way, wrong)
    checks = list(same_bits(Gaussian(0.02), KEY, CPU, compiled=False))
    assert sum(not check.passed for check in checks) == 1


def test_compiled_kernels_are_compared_where_there_is_a_compiler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    checks = list(same_bits(Gaussian(0.02), KEY, CPU, compiled=True))
    assert [(check.seen, check.passed) for check in checks[3:]] == [("as it must be", True)] * 3

    def missing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", missing)
    *_, last = same_bits(Gaussian(0.02), KEY, CPU, compiled=True)
    assert last.passed
    assert "no compiler" in last.seen
