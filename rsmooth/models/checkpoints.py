"""Files of weights: atomic writing, strict loading, and checkpoints that others published."""

from __future__ import annotations

import io
import os
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.models.layouts import read_layout, some, weights_of
from rsmooth.models.natures import ZIPPED, nature
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path

FOLDER = 0x10  # the attribute, of MS-DOS, of an entry that is a folder


def atomic_save(obj: Any, path: str | os.PathLike[str]) -> None:
    """Write ``obj`` with torch.save, whole or not at all.

        atomic_save({"weights": net.state_dict()}, "weights.pt")

    Whatever happens, ``path`` holds the old file or the new one. OSError that names ``path`` where
    the disk refuses.
    """
    # In memory first: on a file, torch answers a full disk with an error that does not say so.
    content = io.BytesIO()
    torch.save(obj, content)
    replace_file(user_path(path), content.getbuffer())


def safe_load(path: str | os.PathLike[str]) -> Any:
    """What torch.save wrote to a file, on the CPU, read without running code from it.

        content = safe_load("checkpoint.pth.tar")

    ValueError, with the likely reason, for a file that is damaged or of another kind, or that holds
    more than tensors and plain values. OSError as usual for one that is absent or must not be read.
    A changed bit is found by the checksums in files since torch 1.6. Older ones have none, and a
    warning says so.
    """
    path = user_path(path)
    # What cannot be opened is no damage.
    with open(path, "rb"):
        pass
    try:
        summed = _check_sums(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on bytes of another kind the unpickler fails in a dozen ways
        raise ValueError(
            f"expected a checkpoint of plain tensors and values, got {path}, which "
            f"{nature(path, error)}"
        ) from error
    if not summed:
        warnings.warn(
            f"{path} is in the format of torch before 1.6, which has no checksums: damaged weights "
            "would go unnoticed; compare its SHA-256 with a published one, or save it again with "
            "torch.save",
            stacklevel=2,
        )
    return content


def _check_sums(path: str | os.PathLike[str]) -> bool:
    """Whether the file has checksums; zipfile.BadZipFile where a part does not fit its own.

    torch.load does not look at them.
    """
    with open(path, "rb") as file:
        if file.read(4) != ZIPPED:
            return False
        try:
            archive = zipfile.ZipFile(file)
            broken = archive.testzip()
        except OSError as error:  # a damaged directory may point outside of the file
            raise zipfile.BadZipFile(str(error)) from None
    if broken is not None:
        raise zipfile.BadZipFile(f"expected {broken} to fit its checksum, got other bytes")
    # torch takes a part that is marked as a folder for empty, and leaves its tensor as memory was.
    # Of two parts of one name, zipfile has tested only the last.
    parts = archive.infolist()
    names = {part.filename for part in parts}
    odd = [part.filename for part in parts if part.external_attr & FOLDER or part.is_dir()]
    if odd or len(names) < len(parts):
        raise zipfile.BadZipFile(f"expected parts of distinct names, got {odd or 'one twice'}")
    return True


def load_weights(module: nn.Module, state_dict: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that must fit exactly: every key, every shape, finite values.

        load_weights(net, safe_load("weights.pt"), source="weights.pt")

    state_dict: also a dict that has one under ``state_dict``, ``model``, ``net`` or the like, and
        one whose names all have a prefix, such as the ``module.`` of DataParallel.
    source: where the weights come from, for the error.

    ValueError if they do not fit or are no dict; then nothing is loaded. Entries beside the
    network, such as the constants of a normalising layer that it does not have, do not fit.
    """
    state_dict = _bare(module.state_dict(), state_dict, source)
    found = _misfits(module.state_dict(), state_dict)
    problems = [f"{word} {some(names)}" for word, names in found.items() if names]
    if problems:
        raise ValueError(
            f"expected weights that fit {type(module).__name__} exactly, got from {source}: "
            f"{'; '.join(problems)}; check architecture and num_classes, and that the file is of "
            "this network alone"
        )
    module.load_state_dict(dict(state_dict))
    torch.clear_autocast_cache()  # of the former weights, where the caller is within autocast


def _bare(own: Mapping[str, Tensor], given: Mapping[str, Any], source: str) -> Mapping[str, Tensor]:
    """The weights by their ``own`` names, out of what others wrap around them."""
    if not isinstance(given, Mapping):
        raise ValueError(
            f"expected a state dict from {source}, got {type(given).__name__}; give what "
            "module.state_dict() of that network returned"
        )
    wrapped = own.keys() != given.keys() and (
        any(isinstance(each, Mapping) for each in given.values()) or not own.keys() & given.keys()
    )
    if not wrapped or not own or not given:
        return given
    weights, beside = weights_of(read_layout(given, source).weights, own, source)
    return {**weights, **beside}


def _misfits(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, list[str]]:
    """The names of entries with each kind of fault."""
    common = [name for name in own if name in given]
    strange = [name for name in common if not isinstance(given[name], Tensor)]
    tensors = {name: given[name] for name in common if name not in strange}
    shapes = [
        f"{name}: expected {tuple(own[name].shape)}, got {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
        if tensor.shape != own[name].shape
    ]
    return {
        "missing": sorted(own.keys() - given.keys()),
        "unexpected": sorted(map(str, given.keys() - own.keys())),
        "not a tensor": strange,
        "wrong shape": shapes,
        "NaN or infinite": [
            name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())
        ],
    }
