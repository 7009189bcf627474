"""The card of a classifier in a folder as the Hugging Face Hub has it. No torch here.

``config.json`` holds what is no weight, and the SHA-256 of ``model.safetensors``. ``README.md``
says the same to people.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.paths import user_path

FORMAT = "rsmooth-model-1"
CONFIG, WEIGHTS, README = "config.json", "model.safetensors", "README.md"

_FRONT = """---
library_name: rsmooth
pipeline_tag: image-classification
tags:
- randomized-smoothing
- certified-robustness
- adversarial-robustness
---
"""
_OPENING = """
```python
from huggingface_hub import snapshot_download
from rsmooth import SmoothedClassifier, certify

g = SmoothedClassifier.load(snapshot_download("USER/NAME"))     # or a folder with these files
certify(g, x, n=10_000)     # x (B, C, H, W), images in [0, 1]
```
"""


def read_card(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What config.json of a folder says, once the weights beside it are those that it names.

        read_card("folder/")["noise"]

    ValueError for a folder without such a file, or with one of others. RecordError where the
    weights are not there, damaged or others.
    """
    folder = user_path(folder)
    card = read_config(folder)
    path = folder / WEIGHTS
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no such file"
    said = card.get("sha256")
    if found != said:
        raise RecordError(
            f"expected the weights that {folder / CONFIG} is about in {path} (sha256 {said}), got "
            f"{found}; download or write the folder again"
        )
    return card


def read_config(folder: Path) -> dict[str, Any]:
    """What config.json of a folder says, whatever the weights are; errors as of ``read_card``."""
    path = folder / CONFIG
    if not path.is_file():
        trained = folder / "model.pt"
        hint = f"name {trained}" if trained.exists() else "name the folder of a saved classifier"
        raise ValueError(f"expected {CONFIG} and {WEIGHTS} in {folder}, got no {CONFIG}; {hint}")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8, or no JSON
        raise RecordError(
            f"expected JSON in {path}, got what cannot be read so ({error}); download or write the "
            "folder again"
        ) from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        theirs = isinstance(card, dict) and "model_type" in card
        raise ValueError(
            f"expected a {CONFIG} of rsmooth in {folder}, got one of others; "
            + (
                f'a model of transformers is MODELS.create("hf", model="{folder}", pretrained=True)'
                if theirs
                else "name a folder that SmoothedClassifier.save wrote"
            )
        )
    return card


def readme(card: Mapping[str, Any]) -> str:
    """The model card for people: YAML for the Hub, how to open it, and what is certified.

        readme(read_card("folder/"))

    It states no license, which is for whoever publishes it to choose.
    """
    options = card["architecture"]["options"]
    facts = {
        "noise": _words(card["noise"]),
        "classes": card["num_classes"],
        "architecture": f"{card['architecture']['name']} ({_words(options)})",
        "written by": f"rsmooth {card['version']}",
        "SHA-256 of the weights": f"`{card['sha256']}`",
    }
    rows = "".join(f"| {name} | {_cell(value)} |\n" for name, value in facts.items())
    tables = "".join(_table(entry) for entry in card.get("certified", ()))
    return (
        f"{_FRONT}\n# A smoothed classifier\n{_OPENING}\n| | |\n|---|---|\n{rows}"
        f"{tables or _NOTHING}"
    )


_NOTHING = """
Nothing has been certified on this card.
"""


_FLOAT = "\nThe noise is in floating point, whose rounding can break these certificates.\n"


def _table(entry: Mapping[str, Any]) -> str:
    """What a record says of these weights, with what it states."""
    data, said = entry["dataset"], entry["statement"]
    alpha = f", each wrong with probability at most {said['alpha']:g}" if "alpha" in said else ""
    settings = ", ".join(
        f"{key}={entry[key]}" for key in ("mode", "n0", "n", "seed") if key in entry
    )
    head = (
        f"\n## Certified on {data['images']} images of {_cell(data['name'])} ({data['split']})\n\n"
        f"Radii in {said['norm']}, {said['kind']}{alpha}"
        f"{'; ' + settings if settings else ''}.\n\n"
    )
    rows = "".join(
        f"| {radius} | {share:.2f} ± {error:.2f} |\n"
        for radius, (share, error) in entry["accuracy"].items()
    )
    acr = (
        "\nAverage certified radius {:.4f} ± {:.4f}.\n".format(*entry["acr"])
        if "acr" in entry
        else ""
    )
    return (
        f"{head}| radius | certified accuracy, % ± standard error |\n|---|---|\n{rows}{acr}\n"
        f"{entry['abstained']} of the images are abstentions.\n{_FLOAT * ('float_noise' in entry)}"
    )


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items() if value is not None)


def _cell(value: object) -> str:
    """Text that stays in its cell."""
    return str(value).replace("|", "\\|").replace("\n", " ")
