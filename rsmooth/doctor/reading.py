"""A file of weights of any kind, as plain containers of tensors, and what its form says."""

from __future__ import annotations

import hashlib
import json
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsmooth.doctor.inert import load_inert
from rsmooth.models.checkpoints import safe_load
from rsmooth.models.natures import LEGACY, ZIPPED


@dataclass(frozen=True)
class Weights:
    """What a file of weights holds.

    form: "torch", "torch-legacy", "safetensors" or "npz". content: containers of tensors and plain
    values. sha256: of the file. classes: foreign classes in it, which were not loaded.
    metadata: of a safetensors file.
    """

    form: str
    content: Any
    sha256: str
    classes: list[str] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


def read_weights(path: Path) -> Weights:
    """Read a checkpoint, a safetensors file or an .npz of arrays; no code in it is run.

        read_weights(Path("net.pth")).content

    ValueError, which says what the file is, for any other. OSError where it cannot be opened.
    """
    digest = file_hash(path)
    with open(path, "rb") as file:
        start = file.read(512)
    if is_safetensors(start, path.stat().st_size):
        content, metadata = _safetensors(path)
        return Weights("safetensors", content, digest, metadata=metadata)
    form = "torch" if start.startswith(ZIPPED) else "torch-legacy"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no checksum is a finding of its own
            return Weights(form, safe_load(path), digest)
    except ValueError as error:
        cause = error.__cause__
        if not (start.startswith((ZIPPED, LEGACY)) and "GLOBAL" in str(cause)):
            raise
        try:
            content, classes = load_inert(path, cause or error)
        except ValueError:
            raise error from None
        return Weights(form, content, digest, classes)


def read_arrays(path: Path, names: list[str]) -> Weights:
    """The weights of an .npz file, as tensors."""
    with np.load(path, allow_pickle=False) as stored:
        content = {name: torch.from_numpy(np.asarray(stored[name])) for name in names}
    if "w0" in content:  # as converted from MatConvNet: w0, b0, w1, ...
        words = {"w": "weight", "b": "bias"}
        content = {
            f"layers.{2 * int(name[1:])}.{words[name[0]]}": tensor
            for name, tensor in content.items()
            if name[0] in words and name[1:].isdigit()
        }
    return Weights("npz", content, file_hash(path))


def is_safetensors(start: bytes, size: int) -> bool:
    """Whether a file that begins so is one of safetensors: the length of a header, and JSON."""
    if len(start) < 10 or start[8:9] != b"{":
        return False
    return bool(struct.unpack("<Q", start[:8])[0] <= size - 8)


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with open(path, "rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest()
            if hasattr(hashlib, "file_digest")
            else hashlib.sha256(file.read()).hexdigest()
        )


def _safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(
            f"expected a whole .safetensors file, got {path}, which is damaged ({error}); download "
            "it again"
        ) from None
