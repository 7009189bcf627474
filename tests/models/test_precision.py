"""The precision of training: what was asked for, or what model and machine decide."""

from __future__ import annotations

import warnings

import pytest
import torch

import rsmooth.models.precision as precision
import rsmooth.plumbing.machine as machine
from rsmooth.models.precision import autocast, resolve_precision
from rsmooth.registry import MODELS
from tests.training.helpers import classifier, weights


def test_auto_precision_depends_on_the_model_and_the_instructions_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small, x = classifier().base, torch.rand(4, 1, 8, 8)
    large, colour = MODELS.create("resnet8", num_classes=4), torch.rand(4, 3, 32, 32)
    native = {"cpu": True}
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: native[device.type])
    assert resolve_precision("auto", small, x) == "float32"
    assert resolve_precision("auto", large, colour) == "bfloat16"
    assert resolve_precision("auto", large, colour[:1]) == "bfloat16"
    native["cpu"] = False
    assert resolve_precision("auto", large, colour) == "float32"
    assert resolve_precision("bfloat16", small, x) == "bfloat16"


def test_bfloat16_by_name_is_remarked_on_where_it_is_emulated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "computes_bfloat16", lambda device: False)
    base, x = classifier().base, torch.rand(4, 1, 8, 8)
    with pytest.warns(UserWarning, match="bfloat16 is only emulated by this cpu"):
        resolve_precision("bfloat16", base, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_precision("auto", base, x) == "float32"


def test_the_choice_leaves_the_model_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    g = classifier()
    g.base.train()
    before, state = weights(g), torch.get_rng_state()
    buffers = {name: buffer.clone() for name, buffer in g.base.named_buffers()}
    resolve_precision("auto", g.base, torch.rand(4, 1, 8, 8, generator=torch.Generator()))
    assert weights(g).equal(before)
    assert all(torch.equal(buffers[name], buffer) for name, buffer in g.base.named_buffers())
    assert torch.equal(state, torch.get_rng_state())
    assert g.base.training
    assert all(p.requires_grad for p in g.base.parameters())


def test_autocast_is_bfloat16_where_asked_for() -> None:
    net, x = torch.nn.Linear(4, 2), torch.rand(3, 4)
    for kind, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(kind, torch.device("cpu")):  # type: ignore[arg-type]
            assert net(x).dtype == dtype


def test_weights_of_another_dtype_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "computes_bfloat16", lambda device: True)
    base, x = MODELS.create("small-cnn", num_classes=4, in_channels=1), torch.zeros(2, 1, 28, 28)
    for dtype in (torch.float64, torch.bfloat16):
        assert resolve_precision("auto", base.to(dtype), x) == "float32"
    with pytest.raises(ValueError, match="expected float32 weights for precision='bfloat16'"):
        resolve_precision("bfloat16", base.double(), x)
