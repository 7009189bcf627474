"""Files that are no checkpoints are called what they are, with the way to make one of them."""

from __future__ import annotations

import argparse
import gzip
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth.models import safe_load
from rsmooth.plumbing.errors import on_command_line


def namespace(path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=1), "state_dict": nn.Linear(2, 2).state_dict()}, path)


def legacy_namespace(path: Path) -> None:
    content = {"args": argparse.Namespace(lr=1)}
    torch.save(content, path, _use_new_zipfile_serialization=False)


def safetensors(path: Path) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def script(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:  # the members by which torch.jit.load knows its own
        for name in ("data.pkl", "code/__torch__.py", "constants.pkl", "version"):
            file.writestr(f"model/{name}", "x")


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/weights.pt", "x")


def tar(path: Path) -> None:
    inner = path.with_name("inner")
    inner.write_bytes(b"x")
    with tarfile.open(path, "w") as file:
        file.add(inner)


def cut(path: Path) -> None:
    torch.save({"a": torch.ones(100)}, path)
    path.write_bytes(path.read_bytes()[:-40])


def flipped(path: Path) -> None:
    torch.save({"a": torch.ones(100)}, path)
    raw = bytearray(path.read_bytes())
    raw[raw.find(np.ones(100, np.float32).tobytes()) + 200] ^= 1
    path.write_bytes(raw)


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, a=np.ones(2))


def npy(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(2))


def written(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (
            namespace,
            r"an object of argparse\.Namespace .*_only=False\); torch\.save\(\{'st",
        ),
        (legacy_namespace, r"an object of argparse\.Namespace"),
        (
            lambda path: torch.save(nn.Linear(2, 2), path),
            r"an object of \S*Linear beside .*saved\.st",
        ),
        (safetensors, r"a safetensors file; .*safetensors\.torch\.load_file\(FILE\)"),
        (npz, r"an \.npz file of numpy arrays; convert it: torch\.save\(.*numpy\.load\(FILE\)"),
        (npy, r"one numpy array \(\.npy\)"),
        (
            script,
            r"a TorchScript archive; convert it: torch\.save\(torch\.jit\.load\(FILE\)\.state",
        ),
        (archive, "a zip archive; unpack it"),
        (tar, "a tar archive; unpack it"),
        (written(gzip.compress(b"x")), "a gzip archive; unpack it"),
        (written(pickle.dumps({"a": 1})), r"a pickle that torch\.save did not write.*pickle\.load"),
        (written(b"\x89HDF\r\n\x1a\n"), "an HDF5 file, as Keras writes it; read the arrays"),
        (written(b"\x89PNG\r\n"), "a picture"),
        (
            written(b"version https://git-lfs.github.com/spec/v1\n"),
            "a pointer of Git LFS.*pull",
        ),
        (written(b"<!DOCTYPE html>"), "a web page"),
        (written(b""), "empty"),
        (cut, "damaged or was cut off"),
        (flipped, "damaged; download"),
        (written(b"some text"), "damaged, or needs code"),
    ],
)
def test_a_file_is_called_what_it_is(
    write: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "file.pt"
    write(path)
    with pytest.raises(ValueError, match=rf"got {path}, which (is|holds) {said}"):
        safe_load(path)


def test_a_graph_is_named_where_the_message_is_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"graph")
    with pytest.raises(ValueError, match=r"open one of rsmooth with rsmooth\.models\.load_onnx"):
        safe_load(path)
    with on_command_line(), pytest.raises(ValueError, match="as in rsmooth certify FILE, or name"):
        safe_load(path)
