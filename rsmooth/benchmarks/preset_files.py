"""Reading a preset that somebody wrote: what is wrong in it is said before any arm starts.

read_preset(Path("mine.yaml"))["arms"]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.reference import PROTOCOLS
from rsmooth.plumbing.yaml_text import read_mapping

VERBS = ("train", "certify", "audit")
_REMEDY = "correct the file"
_KEYS = {
    *("title", "defaults", "arms", "tiny", "report", "jobs", "threads"),
    *("ablate_from", "data", "seeds"),
}


def read_preset(path: Path) -> dict[str, Any]:
    """The content of a preset; ValueError for what is none, and for unknown keys.

    What the options of an arm mean is for the verbs to say.
    """
    content = read_mapping(path, _REMEDY)
    unknown = sorted(str(key) for key in set(content) - _KEYS)
    if unknown or not {"title", "arms"} <= set(content):
        missing = [f"no {key}" for key in ("title", "arms") if key not in content]
        raise ValueError(
            f"expected a preset with the keys {', '.join(sorted(_KEYS))}, got {path} with "
            f"{', '.join(unknown + missing)}"
        )
    check_words(content, path, _REMEDY)
    check_arms(content["arms"], path)
    tiny = dict(content.get("tiny") or {})
    further = _mapping(tiny.pop("arms", None), f"arms of tiny in {path}")
    _check_verbs(content.get("defaults"), f"defaults of {path}", VERBS)
    _check_verbs(tiny, f"tiny of {path}", VERBS)
    for name, change in further.items():
        if name not in content["arms"]:
            raise ValueError(f"expected arms of tiny in {path} among its arms, got {name}")
        _check_verbs(change, f"arm {name} of tiny in {path}", VERBS)
    return {key: value for key, value in content.items() if value is not None}


def check_words(content: Mapping[str, Any], path: Path, remedy: str) -> None:
    """ValueError for a title, options of a report and others of a preset that are none.

    check_words({"title": "Mine", "report": {"radii": [0.5]}}, Path("mine.yaml"), "correct it")
    """
    for key, (is_so, wanted) in _WANTED.items():
        if not is_so(content.get(key)):
            raise ValueError(
                f"expected {key} of {path} to be {wanted}, got {content.get(key)!r}; {remedy}"
            )


def check_arms(arms: Any, path: Path, verbs: tuple[str, ...] = VERBS) -> None:
    """ValueError unless these are arms: names of folders, each with options of verbs.

    check_arms({"a": {"train": {"sigma": 0.25}}}, Path("mine.yaml"))
    """
    if not _mapping(arms, f"arms of {path}"):
        raise ValueError(f"expected at least one arm in {path}, got none; {_REMEDY}")
    for name, change in arms.items():
        # Each is a folder below that of the runs, which a path would leave.
        word = isinstance(name, str) and name and name.isprintable() and name == name.strip()
        if not word or "\\" in name or Path(name).name != name or name.startswith((".", "-")):
            raise ValueError(
                f"expected arms of {path} to have names that folders can have, got {name!r}; "
                "choose a word such as smoothadv-2, in quotes where YAML reads another type"
            )
        _check_verbs(change, f"arm {name} of {path}", verbs)


def _check_verbs(options: Any, where: str, verbs: tuple[str, ...]) -> None:
    """ValueError unless these are mappings of options by verb; a null leaves a verb out."""
    for verb, given in _mapping(options, where).items():
        if verb not in verbs:
            raise ValueError(
                f"expected the options of {' and '.join(verbs)} of {where}, got {verb}; {_REMEDY}"
            )
        _mapping(given, f"{verb} of {where}")


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    """A mapping, empty for null; ValueError for what is none."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"expected {where} to be a mapping, got {value!r}; {_REMEDY}")
    return value


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value >= 1)


def _is_report(value: Any) -> bool:
    if not isinstance(value, Mapping | None) or not set(value or {}) <= _REPORTED.keys():
        return False
    return all(each is None or _REPORTED[key](each) for key, each in (value or {}).items())


def _are_radii(value: Any) -> bool:
    return isinstance(value, list) and all(
        type(each) in (int, float) and 0 <= each < math.inf for each in value
    )


# Options of a report, which is made when all arms are finished.
_REPORTED: dict[str, Callable[[Any], bool]] = {
    "radii": _are_radii,
    "linf": _are_radii,
    "reference": lambda value: value in (*PROTOCOLS, "none"),
    "dimension": _is_count,
    "common": lambda value: isinstance(value, bool),
}
_WANTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "title": (lambda value: isinstance(value, str), "a text"),
    "jobs": (_is_count, "a number from 1"),
    "threads": (_is_count, "a number from 1"),
    "data": (
        lambda value: value is None or isinstance(value, str),
        "the name of an environment variable",
    ),
    "ablate_from": (lambda value: value is None or isinstance(value, str), "the name of an arm"),
    "report": (
        _is_report,
        f"options of the report ({', '.join(_REPORTED)}), lists of numbers >= 0 for radii and "
        f"linf, and for reference {', '.join(PROTOCOLS)} or none",
    ),
    "tiny": (lambda value: isinstance(value, Mapping | None), "a mapping"),
}
