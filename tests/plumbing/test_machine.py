"""bfloat16 and integers of 8 bits count where the machine has instructions for them."""

from __future__ import annotations

import warnings

import pytest
import torch

import rsmooth.plumbing.machine as machine
from rsmooth.plumbing.machine import (
    computes_bfloat16,
    int8_instructions,
    remark_on_emulation,
)


@pytest.mark.parametrize(
    ("kind", "onednn", "avx512", "amx", "answer"),
    [
        ("x86_64", True, True, False, True),
        ("x86_64", True, False, True, True),
        ("AMD64", True, False, False, False),  # AVX512 alone only emulates it
        ("x86_64", False, True, True, False),
        ("aarch64", True, False, False, True),
        ("aarch64", False, False, False, False),
    ],
)
def test_a_cpu_is_judged_by_its_instructions(
    monkeypatch: pytest.MonkeyPatch, kind: str, onednn: bool, avx512: bool, amx: bool, answer: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: kind)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert computes_bfloat16("cpu") is answer


def test_a_build_without_onednn_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those for macOS, which lack the very question."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.delattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")
    assert computes_bfloat16("cpu") is False


def test_a_gpu_is_asked_and_other_devices_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answer=answer, **_: answer)
        assert computes_bfloat16("cuda:1") is answer
    assert computes_bfloat16("mps") is False


@pytest.mark.parametrize("found", [True, False])
def test_emulated_bfloat16_is_remarked_on(monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    monkeypatch.setattr(machine, "computes_bfloat16", lambda device: found)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        remark_on_emulation("cpu")
    assert [str(each.message)[:48] for each in said] == (
        [] if found else ["bfloat16 is only emulated by this cpu, which has"]
    )


@pytest.mark.parametrize(
    ("vnni", "amx", "answer"),
    [
        (True, False, "AVX512_VNNI"),
        (True, True, "AMX_INT8"),
        (False, True, "AMX_INT8"),
        (False, False, None),
    ],
)
def test_integer_instructions_are_named(
    monkeypatch: pytest.MonkeyPatch, vnni: bool, amx: bool, answer: str | None
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    assert int8_instructions() == answer
