"""The precision of training: what was asked for, or what a probe finds faster."""

from __future__ import annotations

import pytest
import torch

from rsmooth.training.precision import autocast, resolve_precision
from tests.training.helpers import classifier, weights


def test_auto_precision_stays_float32_for_small_models_and_times_larger_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rsmooth.training.precision as precision

    base, x = classifier().base, torch.rand(4, 1, 8, 8)
    before = weights(classifier())
    assert resolve_precision("auto", base, x) == "float32"
    monkeypatch.setattr(precision, "SMALLEST_MODEL", 0)
    seconds = {"float32": 3.0, "bfloat16": 2.0}
    monkeypatch.setattr(precision, "_seconds", lambda model, x, kind: seconds[kind])
    assert resolve_precision("auto", base, x) == "bfloat16"
    seconds["bfloat16"] = 2.9
    assert resolve_precision("auto", base, x) == "float32"
    assert resolve_precision("bfloat16", base, x) == "bfloat16"
    monkeypatch.undo()
    monkeypatch.setattr(precision, "SMALLEST_MODEL", 0)
    assert resolve_precision("auto", base, x) in ("float32", "bfloat16")
    assert weights(classifier()).equal(before)


def test_autocast_is_bfloat16_where_asked_for() -> None:
    net, x = torch.nn.Linear(4, 2), torch.rand(3, 4)
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        with autocast(precision, torch.device("cpu")):  # type: ignore[arg-type]
            assert net(x).dtype == dtype
