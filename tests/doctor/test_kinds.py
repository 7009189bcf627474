"""Every kind of file goes to the part that knows it; all else is one clear line."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from rsmooth.doctor import examine

from .helpers import saved, weights


def png(path: Path) -> Path:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def cut(path: Path, **options: bool) -> Path:
    saved(path, weights(), **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def raw(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: raw(p, b""), "which is empty"),
        (lambda p: png(p), "which is a picture"),
        (lambda p: text(p, "hello\nworld\n"), "a text whose first line is no header"),
        (lambda p: text(p, "<!DOCTYPE html><html>"), "which is a web page"),
        (lambda p: text(p, "version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS"),
        (lambda p: cut(p), "damaged or was cut off"),
        (lambda p: cut(p, _use_new_zipfile_serialization=False), "damaged"),
        (lambda p: raw(p, pickle.dumps([1])), "a pickle that torch.save did not write"),
        (lambda p: raw(p, b"\x1f\x8b" + bytes(50)), "a gzip archive"),
        (lambda p: raw(p, bytes(range(256)) * 3), "damaged, or needs code"),
        (lambda p: folder(p), "which is no run (it is empty)"),
        (lambda p: text(p.with_suffix(".jsonl"), "nonsense\n"), "file.jsonl"),
    ],
)
def test_all_else_is_one_line(make: object, words: str, tmp_path: Path) -> None:
    path = make(tmp_path / "file")  # type: ignore[operator]
    try:
        report = examine(path)
    except ValueError as error:
        said = str(error)
        assert said.startswith("expected ")
        assert str(path) in said
        assert "\n" not in said
    else:  # a journal is one by its name, and its damage is a finding
        [finding] = report.marked("wrong")
        said = finding.text
    assert words in said


def test_a_file_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        examine(tmp_path / "nope")


def test_a_numpy_array_is_said_so(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3))
    with pytest.raises(ValueError, match="one numpy array"):
        examine(tmp_path / "a.npy")


def test_arrays_of_objects_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w0=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="expected plain arrays in"):
        examine(tmp_path / "a.npz")


def test_a_table_is_known_by_its_header_and_not_by_its_name(tmp_path: Path) -> None:
    path = text(tmp_path / "notes.md", "idx,label,predict,radius,correct\n0,1,1,0.2,1\n")
    assert examine(path).kind == "a certification log"


def test_weights_are_known_by_their_content(tmp_path: Path) -> None:
    path = saved(tmp_path / "picture.png", {"w": torch.ones(2, 2)})
    assert examine(path).kind == "a raw state dict"
