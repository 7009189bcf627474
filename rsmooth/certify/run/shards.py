"""The journals of one run, one per rank: read together at every start, merged at the end."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rsmooth.certify.proof.designs import SequentialDesign
from rsmooth.certify.votes.profile import Profile
from rsmooth.certify.votes.schedule import Drawn
from rsmooth.plumbing.errors import LockedError, RecordError
from rsmooth.plumbing.files import remove_leftovers, replace_file
from rsmooth.plumbing.locking import PATIENCE_SECONDS, FileLock
from rsmooth.records.files import journal_log, write_log
from rsmooth.records.journal import (
    Entry,
    JournalContents,
    canonical_json,
    check_configuration,
    parse_journal,
)
from rsmooth.records.log import COLUMNS, CertificationLog
from rsmooth.records.merging import merge
from rsmooth.records.upgrade import UNFINISHED, upgraded


class Shards:
    """All journals of the run whose single-process journal is ``path``.

    Shards(Path("runs/a/certificates.jsonl")).read(header)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[Path, JournalContents] = {}

    def of_rank(self, rank: int, world: int) -> Path:
        """The journal that a rank writes."""
        return self.path if world == 1 else self.path.with_suffix(f".rank{rank}-of-{world}.jsonl")

    def profile(self) -> Profile | None:
        """The numerics profile of the earlier starts; None where there is none.

        RecordError for a journal whose profile this version does not know.
        """
        for path, contents in self._contents():
            if contents.header is not None:
                return profile_of(contents.header.get("numerics"), path)
        return None

    def model(self) -> Mapping[str, Any]:
        """The model section of the earlier starts; an empty one where there is none."""
        for _, contents in self._contents():
            found = (contents.header or {}).get("model")
            if isinstance(found, Mapping):
                return found
        return {}

    def design(self) -> SequentialDesign | None:
        """The design of the earlier starts' sequential tests; None where there is none.

        RecordError for a journal whose design this version does not know.
        """
        for path, contents in self._contents():
            record = upgraded(contents.header or {}).get("design")
            if record is not None:
                try:
                    return SequentialDesign.of_record(record)
                except ValueError as error:
                    raise RecordError(f"{path}: {error}") from None
        return None

    def read(self, header: Mapping[str, Any]) -> tuple[set[int], dict[int, Drawn]]:
        """The indices of finished images, and the recorded votes of the others.

        Where several journals hold votes of one image, the most votes count. RecordError, naming
        the differences, for a journal of another configuration.
        """
        finished: set[int] = set()
        drawn: dict[int, Drawn] = {}
        expected = json.loads(canonical_json(header))
        for path, contents in self._contents():
            if contents.header is not None:
                check_configuration(path, contents.header, expected)
            for entry in contents.entries:
                if entry.kind == "image":
                    finished.add(entry.data["idx"])
                elif entry.kind in UNFINISHED:
                    found = _drawn(entry, path)
                    known = drawn.get(entry.data["idx"])
                    if known is None or found.total > known.total:
                        drawn[entry.data["idx"]] = found
        return finished, {idx: votes for idx, votes in drawn.items() if idx not in finished}

    def merged(self) -> CertificationLog:
        """The certificates of all journals; RecordError where two contradict each other.

        A log of no images where none is finished: a rank may have none of its own.
        """
        found = list(self._contents())
        logs = [
            journal_log(path, replace(contents, header=upgraded(contents.header or {})))
            for path, contents in found
            if any(entry.kind == "image" for entry in contents.entries)
        ]
        if logs:
            return merge(logs)
        header = next((contents.header for _, contents in found if contents.header), {})
        columns: dict[str, Any] = dict.fromkeys(COLUMNS, np.zeros(0))
        return CertificationLog(**columns, provenance=upgraded(header))

    def check_table(self, header: Mapping[str, Any]) -> None:
        """RecordError for a table in the place of ours that is no export of this configuration.

        So nobody's file is replaced: another log, a restated one, or what is no log at all.
        """
        table = self.path.with_suffix(".tsv")
        beside = table.with_name(table.name + ".json")
        if not table.exists() and not beside.exists():
            return
        try:
            found = json.loads(beside.read_bytes())["provenance"]
            check_configuration(beside, found, json.loads(canonical_json(header)))
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            why = str(error) if isinstance(error, RecordError) else "it is none of this run"
            raise RecordError(
                f"expected {table} to be free for the table of this run, got a file there ({why}); "
                "move it away, or write to another journal (on the command line: --out FILE.jsonl)"
            ) from None

    def export(self, log: CertificationLog) -> None:
        """Write the published table and its provenance, unless another rank is writing them."""
        table = self.path.with_suffix(".tsv")
        with suppress(LockedError), FileLock(table):
            for name in (table.name, f"{table.name}.json"):
                remove_leftovers(table.parent, name)
            write_log(log, table)

    def known(self, path: Path) -> JournalContents | None:
        """What was read of a journal so far."""
        return self._known.get(path)

    def _contents(self) -> Iterator[tuple[Path, JournalContents]]:
        """All journals, each line of which is parsed once, however often they are asked for."""
        for path in (
            self.path,
            *sorted(self.path.parent.glob(f"{glob.escape(self.path.stem)}.rank*-of-*.jsonl")),
        ):
            if path.exists():
                self._known[path] = parse_journal(path, self._known.get(path))
                yield path, self._known[path]


def profile_of(record: Any, path: Path | str) -> Profile:
    """The numerics profile that ``path`` holds; RecordError where this version does not know it."""
    try:
        return Profile.of_record(record)
    except ValueError as error:
        raise RecordError(
            f"{path}: {error}; it was written by another version: go on with that one, or write to "
            "another journal (on the command line: --out FILE.jsonl)"
        ) from None


def _drawn(entry: Entry, path: Path) -> Drawn:
    try:
        return Drawn.of_record(entry.data)
    except (LookupError, ValueError, TypeError) as error:
        raise RecordError(
            f"{path}, line {entry.line}: expected the votes of an unfinished image, got "
            f"{type(error).__name__}: {error}; write to another journal"
        ) from None


def agree(path: Path, proposal: dict[str, Any]) -> dict[str, Any]:
    """What the first of several processes proposed.

        agree(folder / "certificates.numerics.json", profile.record())

    The file ``path`` appears whole, and never changes. RecordError for a file of something else.
    """
    if not path.exists():
        with FileLock(path, patience=PATIENCE_SECONDS):
            if not path.exists():
                remove_leftovers(path.parent, path.name)
                replace_file(path, json.dumps(proposal).encode())
    try:
        agreed: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RecordError(
            f"expected what earlier processes agreed on in {path}, got {error}; delete it"
        ) from None
    return agreed
