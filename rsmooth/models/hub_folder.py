"""A classifier as a folder in the shape that the Hugging Face Hub takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rsmooth.models.hub_card import CONFIG, README, WEIGHTS, read_card, read_config, readme
from rsmooth.models.safetensors import read_tensors, tensor_bytes
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import replace_file


def write_folder(
    folder: Path, state_dict: Mapping[str, Tensor], content: Mapping[str, Any]
) -> None:
    """Write model.safetensors, README.md and config.json.

        write_folder(Path("folder"), net.state_dict(), content)

    content: what JSON can hold. A folder whose writing did not end is refused by ``read_folder``.
    ValueError, before anything is written, where the folder holds such files of others.
    """
    plain = json.loads(json.dumps(dict(content)))
    _check_free(folder)
    weights = tensor_bytes(state_dict, plain)
    card = {**plain, "library_name": "rsmooth", "sha256": hashlib.sha256(weights).hexdigest()}
    text = readme(card).encode()
    card["readme_sha256"] = hashlib.sha256(text).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / README).unlink(missing_ok=True)  # our own; else a stop would leave it as if edited
    replace_file(folder / CONFIG, (json.dumps(card, indent=2, sort_keys=True) + "\n").encode())
    replace_file(folder / WEIGHTS, weights)
    replace_file(folder / README, text)


def read_folder(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the plain values that ``write_folder`` wrote.

        weights, content = read_folder(Path("folder"))

    Errors are those of ``read_card``. RecordError too where config.json and the weights' own entry
    differ: one of them has been changed.
    """
    card = read_card(folder)
    weights, content = read_tensors(folder / WEIGHTS)
    changed = sorted(key for key in content if card.get(key) != content[key])
    if changed:
        raise RecordError(
            f"expected {CONFIG} and {WEIGHTS} of {folder} to say the same, got other values of "
            f"{', '.join(changed)}; download or write the folder again"
        )
    return weights, content


def _check_free(folder: Path) -> None:
    """ValueError where writing would replace what somebody else wrote or edited."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"expected a folder, got {folder}, which is a file; name a new folder")
    there = [name for name in (CONFIG, WEIGHTS, README) if (folder / name).exists()]
    if not there:
        return
    try:
        known = read_config(folder).get("readme_sha256")
    except ValueError:
        known = None
    edited = README in there and known != hashlib.sha256((folder / README).read_bytes()).hexdigest()
    if known is None or edited:
        raise ValueError(
            f"expected a new folder, or one as SmoothedClassifier.save left it, got {folder} with "
            f"{', '.join(there)} of others, or edited; name a new folder, or move them away"
        )
