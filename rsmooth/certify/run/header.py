"""What a recorded certification says of itself in its first line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rsmooth._version import __version__
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.functions import function_of
from rsmooth.models.hashing import base_hash, is_base_hash
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

FORMAT = "rsmooth-certificates-1"


def run_header(
    data: ImageData | FolderData,
    shape: Sequence[int],
    said: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> dict[str, Any]:
    """What a run is, the same at every start.

    shape: of the images, (C, H, W). said: the model, the settings and what they state.
    provenance: what the caller adds, by section. ValueError where the record holds it itself.
    """
    index = data.index.tolist()
    header: dict[str, Any] = {
        "format": FORMAT,
        "rsmooth": __version__,
        "dataset": {
            "name": data.name,
            "split": data.split,
            "images": len(data),
            "shape": list(shape),
            "fingerprint": data.fingerprint(),
            "index": hashlib.sha256(json.dumps(index).encode()).hexdigest()[:16],
        },
        **said,
    }
    for section, content in provenance.items():
        own = header.get(section)
        if own is None:
            header[section] = content
        elif isinstance(own, dict) and isinstance(content, Mapping) and not set(own) & set(content):
            own.update(content)
        else:
            raise ValueError(
                f"expected provenance that the record does not hold itself, got {section!r} again; "
                "give that section or its keys another name"
            )
    return header


def model_section(
    g: SmoothedClassifier, recorded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The hash, the architecture and the file of a model, for the header.

    Of a function in place of a network, its name and the hash that its user stated.
    recorded: the model section of the record that this run goes on with; its hash stays where it is
        that of g in the words of another version.
    """
    known = str((recorded or {}).get("hash"))
    found: dict[str, Any] = {
        "hash": known if is_hash_of(known, g) else model_hash(g),
        "architecture": getattr(g.base, "architecture", None),
    }
    function = function_of(g.base)
    if function is not None:
        found["function"] = function.record()
    origin = getattr(g.base, "origin", None)
    return found if origin is None else {**found, "file": origin}


def model_hash(g: SmoothedClassifier) -> str:
    """Sixteen hex digits of a hash of the base classifier: layers, their options, weights, buffers.

        model_hash(g)      # "91c0d2..."

    It does not cover code. Two models have one hash where their layers print alike, have the same
    options and hold the same numbers, even if their ``forward`` differs. Give a changed class
    another name, or record the difference in ``provenance``.
    """
    check_smoothed(g)
    return base_hash(g.base)


def is_hash_of(hashed: str, g: SmoothedClassifier) -> bool:
    """Whether a record's model hash is that of g, from whichever release of torch or of rsmooth.

    is_hash_of(log.provenance["model"]["hash"], g)
    """
    check_smoothed(g)
    return is_base_hash(hashed, g.base)
