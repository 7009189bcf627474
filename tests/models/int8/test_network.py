"""An Int8Network is one function of the image: in any batch, after any copy, or not at all."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.attacks.pgd import SmoothAdvPGD
from rsmooth.models import Int8Network
from rsmooth.models.int8 import network as module
from rsmooth.models.int8.network import check_machine, is_int8, operations_of
from rsmooth.models.operations import counted_operations
from rsmooth.plumbing.machine import int8_instructions
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.models.int8.integers import answer
from tests.models.int8.nets import NETS, needs_int8, network, noisy, quantized

pytestmark = needs_int8


@pytest.mark.parametrize("name", NETS)
def test_it_is_what_plain_integers_compute_to_the_bit(name: str) -> None:
    base = quantized(name).base
    x = noisy(9, seed=3)
    assert base(x).numpy().tolist() == answer(base, x).tolist()
    assert torch.equal(base(x), base.exact(x))


@pytest.mark.parametrize("name", ["resnet8", "patch-cnn", "small-cnn"])
def test_an_image_has_one_answer_in_every_batch_and_order(name: str) -> None:
    base = quantized(name).base
    x = noisy(128, seed=4)
    whole, order = base(x), torch.randperm(128, generator=torch.Generator().manual_seed(0))
    assert torch.equal(base(x[order]), whole[order])
    assert torch.equal(torch.cat([base(part) for part in x.split(7)]), whole)
    assert torch.equal(torch.cat([base(part) for part in x[:20].split(1)]), whole[:20])
    with torch.inference_mode():
        assert torch.equal(base(x), whole)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(base(x), whole)
    assert base(x[:0]).shape == (0, 10)


def test_files_copies_other_processes_and_dtypes_keep_it(tmp_path: Path) -> None:
    g8, x = quantized("resnet8"), noisy(5)
    wanted = g8.base(x)
    for file in ("model.pt", "model.safetensors"):
        g8.save(tmp_path / file)
        assert torch.equal(SmoothedClassifier.load(tmp_path / file).base(x), wanted)
    g8.save(tmp_path / "half.pt", half=True)
    assert torch.equal(SmoothedClassifier.load(tmp_path / "half.pt").base(x), wanted)
    assert torch.equal(pickle.loads(pickle.dumps(g8.base))(x), wanted)
    for other in (copy.deepcopy(g8.base), copy.deepcopy(g8.base).bfloat16()):
        assert torch.equal(other(x), wanted)


def test_a_changed_integer_changes_the_answer_at_once() -> None:
    base, x = copy.deepcopy(quantized("resnet8").base), noisy(3)
    before = base(x)
    base.layers[-1].bias.add_(1)
    assert not torch.equal(base(x), before)
    assert torch.equal(base(x), base.exact(x))
    base.load_state_dict(quantized("resnet8").base.state_dict())
    assert torch.equal(base(x), before)


def test_kernels_that_sum_otherwise_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    base = copy.deepcopy(quantized("resnet8").base)
    layer = base.layers[2]
    kernel = layer.kernel()
    monkeypatch.setattr(layer, "kernel", lambda: lambda *x: kernel(*x).clamp(max=3))
    with pytest.raises(RuntimeError, match="expected exact sums of 8-bit integers"):
        base(noisy(2))


@pytest.fixture
def untried() -> Iterator[None]:
    """Kernels are tried anew, in the test and after it."""
    module._trial.cache_clear()
    yield
    module._trial.cache_clear()


def test_a_machine_without_the_instructions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_machine() in ("AVX512_VNNI", "AMX_INT8")
    for flag in ("_is_vnni_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, flag, lambda: False, raising=False)
    with pytest.raises(ValueError, match="expected a CPU with 8-bit integer instructions"):
        quantized("small-cnn").base(noisy(2))


@pytest.mark.usefixtures("untried")
def test_a_torch_without_the_operation_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.onednn, "qconv2d_pointwise", None)
    with pytest.raises(ValueError, match=r"got torch .* without the operation onednn::qconv2d"):
        quantized("small-cnn").base(noisy(2))


@pytest.mark.usefixtures("untried")
def test_kernels_that_sum_otherwise_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.Convolution, "kernel", lambda layer: lambda x: x)
    with pytest.raises(ValueError, match="cut off at 16 bits; unset ONEDNN_MAX_CPU_ISA"):
        quantized("small-cnn").base(noisy(2))


@pytest.mark.skipif(int8_instructions() != "AVX512_VNNI", reason="limits AVX512_VNNI")
def test_kernels_that_are_kept_from_the_instructions_are_refused() -> None:
    code = "from tests.models.int8.nets import *; quantized('mlp').base(noisy(1))"
    limited = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}
    found = subprocess.run(
        [sys.executable, "-c", code], env=limited, capture_output=True, text=True
    )
    assert "ValueError: expected kernels that use AVX512_VNNI for an Int8Network" in found.stderr
    assert "got sums that were cut off at 16 bits" in found.stderr


def test_it_has_no_gradients_and_attacks_hear_so() -> None:
    g8, x = quantized("small-cnn"), noisy(2).clamp(0, 1)
    with pytest.raises(ValueError, match="an Int8Network, which has none; attack or train the"):
        g8.base(x.requires_grad_())
    attack = SmoothAdvPGD(epsilon=0.5, steps=1)
    for precision in ("float32", "auto"):
        with pytest.raises(ValueError, match="an Int8Network, which has none"):
            attack(g8, x.detach(), torch.tensor([0, 1]), precision=precision)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.zeros(2, 3, 8, 8), r"expected images \(N, 3, 16, 16\), .* got \(2, 3, 8, 8\)"),
        (torch.zeros(3, 16, 16), r"got \(3, 16, 16\)"),
        ("image", "got str"),
        (torch.zeros(2, 3, 16, 16, device="meta"), "expected images on a CPU"),
    ],
)
def test_images_that_it_was_not_made_for_are_refused(x: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        quantized("small-cnn").base(x)


def test_an_image_with_nan_or_infinity_has_no_logits() -> None:
    x = noisy(4)
    wanted = quantized("small-cnn").base(x)
    x[1, 0, 3, 3], x[2, 1, 0, 0] = float("nan"), float("inf")
    for _ in range(2):
        found = quantized("small-cnn").base(x)
        assert found[1:3].isnan().all()
        assert torch.equal(found[::3], wanted[::3])


def test_a_part_of_integers_is_refused_and_an_unknown_layer_too() -> None:
    assert is_int8(quantized("small-cnn").base)
    assert not is_int8(network("small-cnn"))
    with pytest.raises(ValueError, match="expected an Int8Network by itself, got one within Sequ"):
        is_int8(nn.Sequential(quantized("small-cnn").base))
    with pytest.raises(ValueError, match=r"expected a layer of kind quantize, conv.* got 'gelu'"):
        MODELS.create("int8", layers=[{"kind": "gelu", "inputs": [0]}], shape=[3, 8, 8])


def test_operations_are_those_of_the_network_it_was_made_from() -> None:
    base = quantized("resnet8").base
    assert isinstance(base, Int8Network)
    plain, x = network("resnet8"), noisy(1)
    with counted_operations() as counted:
        plain(x)
    assert operations_of(base) == counted.total
