"""Files that number classes: which folder is which class, whatever folders happen to be there."""

from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path

from rsmooth.plumbing.paths import user_path

_NUMBER = ("index", "number", "label", "class_index", "id")
_FOLDER = ("wnid", "folder", "synset", "class", "name")


def read_classes(path: str | os.PathLike[str]) -> dict[str, int]:
    """The number of each class folder, as a file lists them.

        read_classes("classes.tsv")["n01440764"]      # 0

    The file is one of three: a table with a header (.csv, .tsv) that has a column index and a
    column wnid or folder; ImageNet's imagenet_class_index.json, {"0": ["n01440764", "tench"]}; or a
    text with one class per line in their order, whose first word is the folder
    (LOC_synset_mapping.txt). ValueError, with the file, for anything else, for a folder that is
    listed twice and for numbers other than 0 to K - 1.
    """
    source = user_path(path)
    try:
        text = source.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"expected a list of classes as text in {source}, got {error}") from None
    pairs = _of_json(text, source) if source.suffix == ".json" else _of_lines(text, source)
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = [name for name, _ in pairs]
        twice = sorted({name for name in seen if seen.count(name) > 1})
        raise ValueError(f"expected each folder once in {source}, got {', '.join(twice)} again")
    if not found or sorted(found.values()) != list(range(len(found))):
        raise ValueError(
            f"expected the numbers 0 to K - 1, each for one folder, in {source}, got "
            f"{len(found)} folders with the numbers {_shown(sorted(found.values()))}; list every "
            "class of the model"
        )
    return found


def _of_json(text: str, source: Path) -> list[tuple[str, int]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"expected JSON in {source}, got {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping of numbers to folders in {source}, got a list")
    found = []
    for number, entry in content.items():
        folder = entry[0] if isinstance(entry, list) and entry else entry
        if not re.fullmatch(r"\d+", number) or not isinstance(folder, str):
            raise ValueError(
                f'expected entries such as "0": ["n01440764", "tench"] in {source}, got '
                f"{number!r}: {entry!r}"
            )
        found.append((folder, int(number)))
    return found


def _of_lines(text: str, source: Path) -> list[tuple[str, int]]:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"expected a list of classes in {source}, got an empty file")
    separator = "\t" if "\t" in lines[0] else ","
    header = [name.strip().lower() for name in next(csv.reader([lines[0]], delimiter=separator))]
    numbers = [at for at, name in enumerate(header) if name in _NUMBER]
    if not numbers:
        return [(line.split()[0].rstrip(","), at) for at, line in enumerate(lines)]
    folders = [header.index(name) for name in _FOLDER if name in header]
    if not folders:
        raise ValueError(
            f"expected a column wnid or folder beside {header[numbers[0]]} in {source}, got "
            f"{', '.join(header)}; name it so"
        )
    found = []
    for row in csv.reader(lines[1:], delimiter=separator):
        name, number = (row[at].strip() if at < len(row) else "" for at in (folders[0], numbers[0]))
        if not name or not re.fullmatch(r"\d+", number):
            raise ValueError(f"expected a number and a folder in each row of {source}, got {row}")
        found.append((name, int(number)))
    return found


def _shown(numbers: list[int]) -> str:
    return f"{numbers[0]} to {numbers[-1]}" if numbers else "none"
