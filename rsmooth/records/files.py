"""Reading and writing certificates: published tables, our journals, run folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.plumbing.errors import EmptyRecordError, RecordError
from rsmooth.plumbing.paths import user_path
from rsmooth.records.journal import (
    Entry,
    JournalContents,
    describe_difference,
    parse_journal,
)
from rsmooth.records.log import COLUMNS, CertificationLog, check_log, first_fault, images_asked
from rsmooth.records.merging import merge
from rsmooth.records.published import read_table, write_table
from rsmooth.records.votes import stacked

# Columns of a log by their names in the "image" records of a journal.
_FIELDS = {
    "idx": "idx",
    "label": "label",
    "predict": "predict",
    "radius": "radius",
    "correct": "correct",
    "time": "seconds",
}
_VOTE_FIELDS = {"counts": "counts", "selection": "selection", "samples": "n", "invalid": "invalid"}


def read_log(path: str | Path, *, unit: str | None = None) -> CertificationLog:
    """Read certificates: a published table, a journal, or a run folder.

        read_log("runs/smoothadv").statement.norm     # "l2"
        read_log("rotations.tsv", unit="degrees")     # a bare table whose radii are no l2 radii

    A run folder has one journal, or one per rank. A table may have its provenance beside it, as
    ``write_log`` leaves it.

    unit: what the radii of a table without provenance are measured in: "l1", "l2" (taken where
        nothing is said), "linf", or other words. Records that state it themselves ignore this.

    RecordError with file and line for anything damaged, cut off or contradictory; of these
    EmptyRecordError where no image is certified yet. FileNotFoundError where there is no record.
    """
    path = user_path(path)
    files = record_files(path)
    log = (
        merge([journal_log(file, parse_journal(file)) for file in files])
        if _is_journal(files[0])
        else _read_table(files[0], unit)
    )
    if not len(log):
        raise EmptyRecordError(
            f"expected certificates in {path}, got none so far; certify at least one image first",
            images_asked(log),
        )
    return log


def log_of_run(path: str | Path | None) -> CertificationLog | None:
    """The record in a run folder; None for another path, and where no image is certified yet.

        log_of_run("runs/smoothadv")

    RecordError for a record that is damaged.
    """
    if path is None or not user_path(path).is_dir():
        return None
    try:
        return read_log(path)
    except (FileNotFoundError, EmptyRecordError):
        return None


def write_log(log: CertificationLog, path: str | Path) -> None:
    """Write a log as a published table, with its provenance beside it (``.json``).

        write_log(certify(g, x).to_log(y), "certificates.tsv")

    The columns are ``idx label predict radius correct time``. Radii in another norm than l2 are in
    a column ``radius_l1`` or ``radius_linf``. Both files are replaced atomically. Radii keep all
    their digits: reading them back gives the same numbers.
    """
    write_table(
        user_path(path), [getattr(check_log(log), name) for name in COLUMNS], log.provenance
    )


def record_files(path: str | Path) -> list[Path]:
    """The files that ``read_log`` reads.

        record_files("runs/smoothadv")      # [Path("runs/smoothadv/certificates.jsonl")]

    Of a run folder these are its journals, one in all or one per rank, or else its table.
    FileNotFoundError for a folder without them.
    """
    path = user_path(path)
    if not path.is_dir():
        return [path]
    table = path / "certificates.tsv"
    files = [*path.glob("certificates.jsonl"), *sorted(path.glob("certificates.rank*.jsonl"))]
    if not files and not table.exists():
        raise FileNotFoundError(
            f"expected certificates.jsonl (or certificates.rank*.jsonl, or certificates.tsv) in "
            f"{path}; {_certified_below(path)}"
        )
    return files or [table]


def audit_of(path: str | Path) -> Path:
    """Where ``rsmooth audit`` puts the audit of a record, and reports look for it.

        audit_of("runs/smoothadv")          # Path("runs/smoothadv/audit.json")
        audit_of("voting.jsonl")            # Path("voting.audit.json")

    The files of a run folder stand for the folder.
    """
    path = user_path(path)
    if path.is_dir():
        return path / "audit.json"
    if path.name in ("certificates.jsonl", "certificates.tsv"):
        return path.with_name("audit.json")
    return path.with_suffix(".audit.json")


def _certified_below(folder: Path) -> str:
    """What to do about a folder without records: it may be one of run folders."""
    runs = sorted({each.parent.name for each in folder.glob("*/certificates*.[jt]s*")})
    if not runs:
        return "certify the model first"
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return f"it holds certified runs: name these ({folder}/*: {', '.join(runs[:5])}{more})"


def _is_journal(path: Path) -> bool:
    with path.open("rb") as file:
        return path.suffix == ".jsonl" or file.read(1) == b"{"


def _read_table(path: Path, unit: str | None) -> CertificationLog:
    table = read_table(path, unit)
    fault = first_fault(*(table.columns[name] for name in COLUMNS))
    if fault is not None:  # rows count from 0, lines from 1, and the header is a line
        raise RecordError(f"{path}, line {fault[0] + 2}: {fault[1]}")
    return CertificationLog(**table.columns, provenance=table.provenance)


def journal_log(path: Path, contents: JournalContents) -> CertificationLog:
    """The certificates in the contents of a journal; ``path`` is for errors, as of ``read_log``."""
    entries = _distinct_images(path, [entry for entry in contents.entries if entry.kind == "image"])
    columns = {
        name: np.array([entry.data[key] for entry in entries]) for name, key in _FIELDS.items()
    }
    fault = first_fault(*(columns[name] for name in COLUMNS))
    if fault is not None:
        raise RecordError(f"{path}, line {entries[fault[0]].line}: {fault[1]}")
    try:
        votes = {name: _vote_column(entries, key) for name, key in _VOTE_FIELDS.items()}
        votes |= _proof_columns(entries)
        return CertificationLog(**columns, **votes, provenance=contents.header or {})
    except ValueError as error:  # what the header states is unknown, or votes are missing
        raise RecordError(f"{path}: {error}") from None


def _distinct_images(path: Path, entries: Sequence[Entry]) -> list[Entry]:
    """The first record of every image.

    RecordError for an incomplete record, and for a second one that differs.
    """
    images: dict[int, Entry] = {}
    for entry in entries:
        missing = sorted(set(_FIELDS.values()) - set(entry.data))
        if missing:
            raise RecordError(
                f"{path}, line {entry.line}: expected {', '.join(missing)} in an image record, "
                "got none; certify into another journal"
            )
        earlier = images.setdefault(entry.data["idx"], entry)
        if earlier is entry:
            continue
        difference = describe_difference(_untimed(earlier.data), _untimed(entry.data))
        if difference:
            raise RecordError(
                f"{path}, line {entry.line}: expected one certificate for idx {entry.data['idx']}, "
                f"but it differs from line {earlier.line} in {difference}; certify into another "
                "journal"
            )
    return list(images.values())


def _untimed(image: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in image.items() if key != "seconds"}


def _vote_column(entries: Sequence[Entry], key: str) -> Any:
    values = [entry.data.get(key) for entry in entries]
    return None if not values or any(value is None for value in values) else stacked(values)


def _proof_columns(entries: Sequence[Entry]) -> dict[str, Any]:
    """What proved each image, and its margin; nothing in records of votes."""
    if not entries or any("bounds" not in entry.data for entry in entries):
        return {}
    names = [entry.data["bounds"] or "" for entry in entries]
    margins = [entry.data.get("margin") or 0.0 for entry in entries]
    return {"proved_by": np.array(names, dtype=np.str_), "margin": np.array(margins)}
