"""A folder of arms: what its report is to show, the same for whoever makes it.

The runner notes title, options and order of a preset in FOLDER/report.yaml. So the report that
``report FOLDER`` makes later is the one that ``run`` made there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.arm import ARM, SUMMARY
from rsmooth.benchmarks.preset_files import check_words
from rsmooth.benchmarks.presets import Preset
from rsmooth.config.folder import certified_below, certified_runs, uncertified_runs
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.yaml_text import dump_yaml, read_mapping
from rsmooth.report.collecting import LeftOut, not_certified

NOTED = "report.yaml"
_REMEDY = "run the preset again, or remove the file for a report with defaults"


@dataclass(frozen=True)
class Noted:
    """What a runner noted about the report of a folder.

    words: title, and options of ``report_runs``. order: the arms of all presets that were run there
    as their presets list them.
    """

    words: dict[str, Any]
    order: list[str]


@dataclass
class Found:
    """The certified runs of a folder, in the order of their rows, and what is named as left out."""

    runs: list[Path] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def note(preset: Preset, out: Path) -> None:
    """Note what the report of ``out`` is to show, beside what earlier calls have noted there.

        note(load_preset("digits"), Path("runs/digits"))

    Title and options are those of the last preset. The arms of earlier ones keep their places, such
    as those of other seeds.
    """
    before, listed = noted(out), list(preset.listed or [arm.name for arm in preset.arms])
    known = [] if before is None else before.order
    if not set(known) <= set(listed):
        listed = [*known, *(name for name in listed if name not in known)]
    content = {"title": preset.title, "report": preset.report, "arms": listed}
    text = "# What the report of these runs shows, as their preset says.\n" + dump_yaml(content)
    replace_file(out / NOTED, text.encode())


def noted(folder: Path) -> Noted | None:
    """What a runner noted there; None for a folder of no runner, or one of an earlier version.

        noted(Path("runs/digits")).words["title"]

    ValueError for a file that no runner wrote.
    """
    path = folder / NOTED
    if not path.is_file():
        return None
    content = read_mapping(path, _REMEDY)
    check_words(content, path, _REMEDY)
    order = content.get("arms")
    if not isinstance(order, list) or not all(isinstance(name, str) for name in order):
        raise ValueError(f"expected arms of {path} to be a list of names, got {order!r}; {_REMEDY}")
    return Noted({"title": content["title"], **(content.get("report") or {})}, order)


def runs_of(folder: Path) -> Found:
    """The runs that the report of a folder shows: the arms as noted, then all others by name.

        runs_of(Path("runs/digits")).runs

    An arm that is not finished is left out, and named: its radii are of a part of the images. A
    folder of which nothing is noted is read as ``rsmooth report`` does. ValueError where there is
    nothing to show.
    """
    known = noted(folder)
    if known is None:
        return Found(certified_runs([folder]), not_certified(uncertified_runs([folder])))
    arms = sorted(path.parent for path in folder.glob(f"*/{ARM}"))
    waiting = [arm for arm in arms if not (arm / SUMMARY).exists() and _shown(arm)]
    others = [path for path in uncertified_runs([folder]) if path not in arms]
    left = _in_order(waiting, known.order)
    runs = [path for path in certified_below(folder) if path not in waiting]
    if not runs:
        raise ValueError(
            f"expected a finished arm in {folder}, got none "
            f"({', '.join(path.name for path in left)} not finished); give the command again that "
            "runs them"
        )
    unfinished = [LeftOut(path.name, "not finished.") for path in left]
    return Found(_in_order(runs, known.order), [*unfinished, *not_certified(others)])


def _shown(arm: Path) -> bool:
    """Whether an arm has a row once it is finished: not where it is trained for others only."""
    return read_mapping(arm / ARM, "remove that arm's folder").get("certify") is not None


def _in_order(paths: Sequence[Path], order: Sequence[str]) -> list[Path]:
    place = {name: at for at, name in enumerate(order)}
    return sorted(paths, key=lambda path: (place.get(path.name, len(place)), path.name))
