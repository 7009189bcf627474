"""One network of a file as a plain checkpoint, which ``rsmooth certify --checkpoint`` opens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rsmooth.doctor.entries import Entry
from rsmooth.models.checkpoints import atomic_save


def convert(entry: Entry, digest: str, source: Path, out: Path) -> None:
    """Write the weights of one network, in float32, with its architecture and their origin.

        convert(entries(content)[0], file_hash(path), path, Path("plain.pth"))

    ValueError for a network that is none of ours, and for a file that is there already.
    """
    if entry.network is None:
        raise ValueError(
            f"expected a network of rsmooth to convert, got one in {source} that none of its "
            "architectures fits; register its constructor with MODELS.register, and load it there"
        )
    if out.exists():
        raise ValueError(f"expected a new file, got {out}, which is there already; name another")
    weights = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in entry.inner.items()
    }
    constants = entry.constants()
    content: dict[str, Any] = {
        "arch": entry.network.name,
        "state_dict": {name: tensor.clone() for name, tensor in weights.items()},
        "origin": {"file": source.name, "sha256": digest, "entry": entry.place},
    }
    if constants is not None:
        content["normalize"] = constants
    atomic_save(content, out)
    torch.load(out, map_location="cpu", weights_only=True)
