"""Files of weights of each form, and their hash."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from rsmooth.doctor.reading import file_hash, is_safetensors, read_arrays, read_weights

from .helpers import saved

WEIGHTS = {"w": torch.arange(4.0).view(2, 2)}


@pytest.mark.parametrize(
    ("form", "options"),
    [("torch", {}), ("torch-legacy", {"_use_new_zipfile_serialization": False})],
)
def test_what_torch_wrote(tmp_path: Path, form: str, options: dict[str, bool]) -> None:
    path = saved(tmp_path / "a.pth", WEIGHTS, **options)
    found = read_weights(path)  # and no warning
    assert (found.form, found.classes) == (form, [])
    assert torch.equal(found.content["w"], WEIGHTS["w"])
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() == file_hash(path)


def test_safetensors(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "a.safetensors", metadata={"format": "pt"})
    found = read_weights(tmp_path / "a.safetensors")
    assert (found.form, found.metadata) == ("safetensors", {"format": "pt"})
    assert torch.equal(found.content["w"], WEIGHTS["w"])
    raw = (tmp_path / "a.safetensors").read_bytes()
    assert is_safetensors(raw[:512], len(raw))
    assert not is_safetensors(b"PK\3\4" + raw[:50], len(raw))
    (tmp_path / "b.safetensors").write_bytes(raw[:-3])
    with pytest.raises(ValueError, match=r"b\.safetensors, which is damaged .*; download it again"):
        read_weights(tmp_path / "b.safetensors")


def test_objects_beside_the_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", {**WEIGHTS, "args": argparse.Namespace()})
    assert read_weights(path).classes == ["argparse.Namespace"]


def test_a_file_that_was_cut_off_is_said_so(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", WEIGHTS)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or was cut off; download it again"):
        read_weights(path)


def test_arrays_and_those_of_matconvnet(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w0=np.ones((2, 1, 3, 3)), b0=np.zeros(2), w1=np.ones((1, 2, 3, 3)))
    found = read_arrays(tmp_path / "a.npz", ["w0", "b0", "w1"])
    assert set(found.content) == {"layers.0.weight", "layers.0.bias", "layers.2.weight"}
    np.savez(tmp_path / "b.npz", fc=np.ones((2, 2)))
    assert set(read_arrays(tmp_path / "b.npz", ["fc"]).content) == {"fc"}
