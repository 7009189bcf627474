"""What a file is that was taken for a checkpoint, and how to make a checkpoint of it."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from rsmooth.plumbing.errors import remedy

_GLOBAL = re.compile(r"GLOBAL (\S+)")
# How torch.save has begun its files before and since 1.6.
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
ZIPPED = b"PK\x03\x04"
_ARCHIVES = {
    b"\x1f\x8b": "a gzip archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\x28\xb5\x2f\xfd": "a zstandard archive",
}
_OTHERS = {
    b"\x93NUMPY": ("one numpy array (.npy)", "name the file of the weights"),
    b"\x89HDF": (
        "an HDF5 file, as Keras writes it",
        "read the arrays with h5py, name them as torch does, and torch.save the dict",
    ),
    b"GGUF": ("a GGUF file", "name the checkpoint of torch that it was made from"),
    b"\x89PNG": ("a picture", "name the file of the weights"),
    b"\xff\xd8\xff": ("a picture", "name the file of the weights"),
    b"version https://git-lfs": (
        "a pointer of Git LFS, not the file behind it",
        "fetch the file with git lfs pull",
    ),
    b"<!doctype": ("a web page, not the download behind it", "download the file again"),
    b"<html": ("a web page, not the download behind it", "download the file again"),
    b"<?xml": ("a web page, not the download behind it", "download the file again"),
}


def nature(path: Path, error: BaseException) -> str:
    """What a file is that torch.load refused with ``error``, and what to do with it, in words.

    nature(Path("part.safetensors"), error)    # "is a safetensors file; ..."
    """
    with open(path, "rb") as file:
        start = file.read(512)
    if not start:
        return "is empty; download it again"
    signed = _by_sign(start)
    if signed is not None:
        return signed
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**30:
        return (
            "is a safetensors file; convert it: "
            "torch.save(safetensors.torch.load_file(FILE), 'plain.pth')"
        )
    if path.suffix == ".onnx":
        return _graph()
    if start.startswith(ZIPPED):
        return _zipped(path, error)
    if start[257:262] == b"ustar":
        return "is a tar archive; unpack it, and name the checkpoint in it"
    if start.startswith(b"\x80") and not start.startswith(LEGACY):
        return (
            "is a pickle that torch.save did not write, and to open it may run code; if you trust "
            "its source, convert it: torch.save(pickle.load(open(FILE, 'rb')), 'plain.pth')"
        )
    return _pickled(error)


def _by_sign(start: bytes) -> str | None:
    """The kinds of files that begin with a sign of their own; None of others."""
    lowered = start.lstrip().lower()
    for sign, (words, advice) in _OTHERS.items():
        if start.startswith(sign) or lowered.startswith(sign):
            return f"is {words}; {advice}"
    for sign, words in _ARCHIVES.items():
        if start.startswith(sign):
            return f"is {words}; unpack it, and name the checkpoint in it"
    return None


def _graph() -> str:
    ours = remedy(
        "open one of rsmooth with rsmooth.models.load_onnx",
        "name one of rsmooth in place of a run folder, as in rsmooth certify FILE",
    )
    return f"is an ONNX graph; {ours}, or name the checkpoint of torch that it was exported from"


def _zipped(path: Path, error: BaseException) -> str:
    """A zip archive: that of torch, of torch.jit, of numpy, or any other."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "is damaged or was cut off; download it again"
    if isinstance(error, zipfile.BadZipFile):
        return "is damaged; download it again"
    if any(re.fullmatch(r"[^/]+/(constants\.pkl|code/.*)", name) for name in names):
        return (
            "is a TorchScript archive; convert it: "
            "torch.save(torch.jit.load(FILE).state_dict(), 'plain.pth')"
        )
    if names and all(name.endswith(".npy") for name in names):
        return (
            "is an .npz file of numpy arrays; convert it: torch.save({name: "
            "torch.as_tensor(array) for name, array in numpy.load(FILE).items()}, 'plain.pth')"
        )
    if not any(name.endswith("data.pkl") for name in names):
        return "is a zip archive; unpack it, and name the checkpoint in it"
    return _pickled(error)


def _pickled(error: BaseException) -> str:
    """A pickle: with objects that are code, or damaged."""
    found = _GLOBAL.search(str(error))
    if found is None:
        return (
            "is damaged, or needs code that weights_only=True does not run; download it again, or "
            "convert it with the code that wrote it"
        )
    return (
        f"holds an object of {found[1]} beside its tensors, and to open it would run code; if you "
        "trust its source, convert it: saved = torch.load(FILE, weights_only=False); "
        "torch.save({'state_dict': saved['state_dict']}, 'plain.pth') (of a whole module, "
        "saved.state_dict())"
    )
