"""The choice of a profile: by model, samples and kind of machine, and what is passed over."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest
import torch
from torch import nn

import rsmooth.plumbing.machine as machine
from rsmooth.certify import CertifySettings, certify
from rsmooth.certify.settings import PredictSettings
from rsmooth.certify.votes import choice as chosen
from rsmooth.certify.votes.choice import BFLOAT16_WORTH, COMPILE_WORTH, choose_network
from rsmooth.certify.votes.network import check_images_apart
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.profile import Profile
from rsmooth.certify.votes.schedule import open_pool
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images, small_net
from tests.certify.votes.pools import SHAPE

MUCH = 1e15


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with instructions for bfloat16, and a compiler that changes nothing."""
    monkeypatch.setattr(chosen, "computes_bfloat16", lambda device: True)
    monkeypatch.setattr(torch, "compile", lambda net, **_: net)


def choose(operations: float = MUCH, **options: Any) -> Profile:
    settings = CertifySettings(n=100, **options)
    return choose_network(small_net(), SHAPE, settings, operations).profile


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("operations", "options", "dtype", "compiled"),
    [
        (0.99 * BFLOAT16_WORTH, {}, "float32", "no"),
        (BFLOAT16_WORTH, {}, "bfloat16", "no"),
        (0.99 * COMPILE_WORTH["cpu"], {}, "bfloat16", "no"),
        (COMPILE_WORTH["cpu"], {}, "bfloat16", "inductor"),
        (MUCH, {"compile": "never"}, "bfloat16", "no"),
        (MUCH, {"precision": "float32"}, "float32", "inductor"),
        (MUCH, {"precision": "float32", "compile": "never"}, "float32", "no"),
        (0.0, {"precision": "bfloat16"}, "bfloat16", "no"),
        (0.0, {"compile": "always"}, "float32", "inductor"),
    ],
)
def test_the_operations_of_an_image_decide(
    operations: float, options: dict[str, Any], dtype: str, compiled: str
) -> None:
    profile = choose(operations, **options)
    assert (profile.dtype, profile.compiled) == (dtype, compiled)


@pytest.mark.usefixtures("native")
def test_a_machine_without_instructions_for_bfloat16_stays_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chosen, "computes_bfloat16", lambda device: False)
    assert choose(compile="never").dtype == "float32"


@pytest.mark.usefixtures("native")
def test_neither_load_nor_the_number_of_images_changes_the_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    g, shape = SmoothedClassifier(base, 0.25, 10), torch.Size((1, 8, 8))
    ticks = iter(range(10**6))
    # A clock that jumps: whoever timed something would take it for a very busy machine.
    for clock in ("perf_counter", "process_time", "monotonic"):
        monkeypatch.setattr(time, clock, lambda: float(next(ticks)) ** 2)
    source = noisy_images("integer", g.noise, 0, shape)
    found = {
        open_pool(g, source, shape, settings, samples).network.profile.dtype
        for settings in (CertifySettings(n=1000), PredictSettings(n=1000))
        for samples in (1.0, 1e12)
    }
    assert found == {"bfloat16"}
    few = open_pool(g, source, shape, CertifySettings(n=100), 1e12).network.profile
    assert few.dtype == "float32"


@pytest.mark.usefixtures("native")
def test_an_image_has_the_same_votes_alone_and_among_others() -> None:
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    g, x = SmoothedClassifier(base, 0.25, 10), images(3, (1, 8, 8))
    together = certify(g, x, n=1000)
    assert together.provenance["numerics"]["dtype"] == "bfloat16"
    assert torch.equal(certify(g, x[1:2], n=1000).counts, together.counts[1:2])


def test_operations_are_those_of_an_image() -> None:
    net = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Flatten(), nn.Linear(96, 4))
    g = SmoothedClassifier(net, 0.25, 4)
    for batch in (2, 32):
        assert check_images_apart(g, SHAPE, batch) == 2 * (16 * 6 * 9 + 96 * 4)


def test_missing_compiler_is_passed_over_unless_compiling_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no compiler found")

    monkeypatch.setattr(torch, "compile", broken)
    assert choose(precision="float32").compiled == "no"
    with pytest.raises(RuntimeError, match="no compiler"):
        choose(precision="float32", compile="always")


def test_a_lack_of_memory_does_not_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """At another moment the same command would choose otherwise."""

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(torch, "compile", full)
    with pytest.raises(torch.OutOfMemoryError, match="full"):
        choose(precision="float32")


def test_layer_without_the_dtype_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnlyFloat32(nn.Linear):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            if z.dtype != torch.float32:
                raise RuntimeError("not implemented for this type")
            return super().forward(z)

    monkeypatch.setattr(chosen, "computes_bfloat16", lambda device: True)
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), OnlyFloat32(16, 3)), 0.25, 3)
    settings = CertifySettings(n=100, compile="never")
    assert choose_network(g, SHAPE, settings, MUCH).profile.dtype == "float32"


def test_bfloat16_by_name_is_remarked_on_where_it_is_emulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "computes_bfloat16", lambda device: False)
    with pytest.warns(UserWarning, match="bfloat16 is only emulated by this cpu"):
        assert choose(precision="bfloat16", compile="never").dtype == "bfloat16"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose(precision="float32", compile="never")
