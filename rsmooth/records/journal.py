"""The append-only journal: every result is on disk as soon as it is known.

A journal has one JSON object per line. The first line is the header, the configuration of the run::

    {"seq":0,"config":"<16 hex>","kind":"header","data":{...},"crc32":"<8 hex>"}
    {"seq":1,"config":"<16 hex>","kind":"image","data":{...},"crc32":"<8 hex>"}

``config`` is a hash of the header. Every line has it, so that lines of two runs never mix. ``seq``
counts the lines, so that none can be missing. ``crc32`` covers the bytes before it. A line is
written by one ``write`` to a file opened for appending. A process killed in the middle leaves at
most a torn last line. The next opening drops this line and reports it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from rsmooth.plumbing.difference import ABSENT, differences
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import crash_point, crashes_at, flush, sync_folder
from rsmooth.plumbing.locking import FileLock
from rsmooth.plumbing.paths import user_path
from rsmooth.records.upgrade import upgraded

logger = logging.getLogger(__name__)

# Binary, or Windows would write other line ends, which no checksum fits.
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
_HEADER_START = b'{"seq":0,"config":"'


@dataclass(frozen=True)
class Entry:
    """One line of a journal: its kind, its data, and its line number; the header is line 1."""

    kind: str
    data: dict[str, Any]
    line: int


@dataclass(frozen=True)
class JournalContents:
    """What a journal holds.

    header: None in a file that was cut off before its first line end.
    entries: those after the header.
    sound_bytes, torn_bytes: the size of the undamaged part, and of a torn last line.
    file: device and inode, by which the same file is known again.
    """

    header: dict[str, Any] | None
    entries: tuple[Entry, ...]
    sound_bytes: int
    torn_bytes: int
    file: tuple[int, int] = (0, 0)


class Journal:
    """An append-only record with one writer.

        with Journal("runs/a/certificates.jsonl", {"sigma": 0.25}) as journal:
            journal.append("image", {"idx": 0, "radius": 0.5})

    header: the configuration, JSON values.
    sync_every, sync_seconds: the file is flushed to disk after that many records or seconds, and on
        ``close``.
    patience: seconds to wait for another writer.
    known: what was read from the file before, so that only what came later is parsed.

    Opening ``path`` creates the file and its folder, or continues the file. Then ``entries()``
    returns the entries on disk. A torn last line is dropped and logged as a warning. RecordError
    for any other damage (with file and line), for another header (with the keys that differ), and
    for a file that is no journal, which stays as it is. LockedError while another writer has the
    file open, be it under another name.
    """

    def __init__(
        self,
        path: str | Path,
        header: Mapping[str, Any],
        *,
        sync_every: int = 64,
        sync_seconds: float = 5.0,
        patience: float = 0.0,
        known: JournalContents | None = None,
    ) -> None:
        self.path = user_path(path)
        self.header: dict[str, Any] = json.loads(canonical_json(header))
        self._config = config_hash(self.header)
        self._sync_every, self._sync_seconds = sync_every, sync_seconds
        self._unsynced, self._synced_at = 0, time.monotonic()
        self._fd = -1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(self.path, patience=patience)
        try:
            self._fd = os.open(self.path, _APPEND, 0o644)
            self._lock.hold_inode(self._fd, patience=patience)
            self._contents = self._recover(known)
        except BaseException:
            self.close()
            raise

    def append(self, kind: str, data: Mapping[str, Any]) -> None:
        """Write one record of JSON values.

            journal.append("image", {"idx": 0, "counts": np.array([1, 99])})

        Numpy arrays and scalars are written as lists and numbers. OSError where the disk refuses.
        The file then ends with the record before.
        """
        if kind == "header":
            raise ValueError(
                "expected a kind of record other than 'header', which only the first line is"
            )
        text = canonical_json(data)
        self._write(kind, text)
        if (
            self._unsynced >= self._sync_every
            or time.monotonic() - self._synced_at >= self._sync_seconds
        ):
            self.sync()

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The records in the file so far; only those of ``kind`` if it is given."""
        self._contents = parse_journal(self.path, self._contents)
        return [entry for entry in self._contents.entries if kind is None or entry.kind == kind]

    def sync(self) -> None:
        """Flush what was appended to the disk; LockedError where the file has been moved away."""
        flush(self._fd, self.path)
        self._lock.check()
        self._unsynced, self._synced_at = 0, time.monotonic()

    def close(self) -> None:
        """Flush, close and unlock; a second call does nothing."""
        try:
            if self._fd >= 0:
                self.sync()
        finally:
            self._lock.release()
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _recover(self, known: JournalContents | None) -> JournalContents:
        contents = parse_journal(self.path, known)
        if contents.header is None and contents.torn_bytes:
            # Only what a killed start of this very run leaves; anything else is somebody's file.
            raw = self.path.read_bytes()
            own = _encode(0, self._config, "header", canonical_json(self.header))
            if not (raw.startswith(_HEADER_START) and own.startswith(raw)):
                raise _no_journal(self.path, raw)
        if contents.torn_bytes:
            os.ftruncate(self._fd, contents.sound_bytes)
        self._size = contents.sound_bytes
        if contents.header is None:
            self._next_line = 1
            self._write("header", canonical_json(self.header))
            sync_folder(self.path.parent)
        else:  # equal headers may differ in spelling (1 and 1.0); the file's own counts
            check_configuration(self.path, contents.header, self.header)
            self.header, self._config = contents.header, config_hash(contents.header)
            self._next_line = len(contents.entries) + 2
        self.sync()
        return contents

    def _write(self, kind: str, text: str) -> None:
        if self._fd < 0:
            raise ValueError(
                f"expected an open journal, got {self.path} after close; open it again to append"
            )
        if os.fstat(self._fd).st_size != self._size:
            # An interrupt came between the writing of the last line and its being counted.
            os.ftruncate(self._fd, self._size)
        line = _encode(self._next_line - 1, self._config, kind, text)
        crash_point("before-append")
        if crashes_at("mid-append"):
            os.write(self._fd, line[: len(line) // 2])
            os._exit(137)
        self._append_whole(line)
        crash_point("after-append")
        self._size += len(line)
        self._next_line += 1
        self._unsynced += 1

    def _append_whole(self, line: bytes) -> None:
        """Write all of the line; OSError where that fails, and the file is as before."""
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            error.filename = str(self.path)
            raise
        if written != len(line):
            # A full disk takes the part that fits. No torn line may stay in the middle of the file.
            os.ftruncate(self._fd, self._size)
            raise OSError(
                f"expected to append {len(line)} bytes to {self.path}, got only {written} written; "
                "free some space on the disk"
            )


def parse_journal(path: str | Path, known: JournalContents | None = None) -> JournalContents:
    """Read a journal without opening it for writing.

        [entry.data for entry in parse_journal(path).entries if entry.kind == "image"]

    known: what an earlier call found. Of the same file, grown since, only the new lines are read.

    A torn last line is left out and logged as a warning, unless it is known. RecordError, with file
    and line number, for any other damage: a checksum, a line out of order, a line of another
    configuration, a missing header. RecordError too for a file whose only line has no end and is no
    header.
    """
    before, (known, raw, identity) = known, _new_bytes(user_path(path), known)
    start = 0 if known is None else known.sound_bytes
    sound = raw.rfind(b"\n") + 1
    torn = len(raw) - sound
    if not start + sound and not (raw.startswith(_HEADER_START) or _HEADER_START.startswith(raw)):
        raise _no_journal(path, raw)
    ends = (start + sound, torn)
    if torn and (before is None or (before.sound_bytes, before.torn_bytes) != ends):
        logger.warning(
            "%s ends in a torn line (%d bytes), as a killed process leaves it; dropped", path, torn
        )
    header: dict[str, Any] | None = None
    config, entries = "", list[Entry]()
    if known is not None and known.header is not None:
        header, config, entries = known.header, config_hash(known.header), list(known.entries)
    # A header and the entries are known, or nothing is.
    first = 1 if header is None else len(entries) + 2
    for number, line in enumerate(raw[:sound].split(b"\n")[:-1], start=first):
        record = _decode(line, f"{path}, line {number}")
        if header is None:
            header, config = record["data"], config_hash(record["data"])
        _check_place(record, number, config, path)
        if number > 1:
            entries.append(Entry(record["kind"], record["data"], number))
    return JournalContents(header, tuple(entries), *ends, identity)


def _check_place(record: Mapping[str, Any], number: int, config: str, path: str | Path) -> None:
    """RecordError for a record of another line or configuration."""
    if (record["seq"], record["config"]) != (number - 1, config):
        raise RecordError(
            f"{path}, line {number}: expected record {number - 1} of configuration {config}, "
            f"got a {record['kind']} record {record['seq']} of {record['config']}; lines are "
            "missing, moved or from another run: restore the file from a copy, or start a new "
            "run folder"
        )


def _new_bytes(
    path: Path, known: JournalContents | None
) -> tuple[JournalContents | None, bytes, tuple[int, int]]:
    """What is known of the file, what follows in it, and the identity of the file."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        identity = (status.st_dev, status.st_ino)
        if known is not None and (
            known.header is None or known.file != identity or status.st_size < known.sound_bytes
        ):
            known = None
        file.seek(0 if known is None else known.sound_bytes)
        return known, file.read(), identity


def canonical_json(value: Mapping[str, Any]) -> str:
    """``value`` as JSON with sorted keys and no spaces: equal values give equal text.

    ValueError for NaN and infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain)


def config_hash(header: Mapping[str, Any]) -> str:
    """Sixteen hex digits of the SHA-256 of a configuration."""
    return hashlib.sha256(canonical_json(header).encode()).hexdigest()[:16]


def check_configuration(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """RecordError, naming the keys that differ, unless the header found is the expected one.

    Headers of earlier versions are first translated to the words of this one.
    """
    found, expected = upgraded(found), upgraded(expected)
    if found != expected:
        raise RecordError(
            f"expected {path} to be of this configuration, but it differs in "
            f"{describe_difference(found, expected)}; use the configuration of the file, or write "
            "to another journal (on the command line: --out FILE.jsonl)"
        )


def describe_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """The keys in which two nested configurations differ, with both values: ``a.b (1, here 2)``."""
    return ", ".join(
        f"{each.key} ({_shown(each.old)}, here {_shown(each.new)})"
        for each in differences(old, new)
    )


def _shown(value: Any) -> str:
    return "absent" if value is ABSENT else json.dumps(value)


def _no_journal(path: str | Path, raw: bytes) -> RecordError:
    return RecordError(
        f"expected a journal in {path}, got {len(raw)} bytes that are no beginning of this one: "
        f"{raw[:40]!r}...; the file is left as it is, so name another"
    )


def _encode(seq: int, config: str, kind: str, text: str) -> bytes:
    body = f'{{"seq":{seq},"config":"{config}","kind":{json.dumps(kind)},"data":{text}'.encode()
    return body + _seal(body) + b"\n"


def _seal(body: bytes) -> bytes:
    return b',"crc32":"%08x"}' % zlib.crc32(body)


def _decode(line: bytes, where: str) -> dict[str, Any]:
    body = line[: -len(_seal(b""))]
    if line != body + _seal(body):
        raise RecordError(
            f"{where}: expected a journal record with a fitting checksum, got {line[:60]!r}...; "
            "the file is damaged: restore it from a copy, or start a new run folder"
        )
    record: dict[str, Any] = json.loads(line)
    return record


def _plain(value: object) -> object:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"expected JSON values or numpy arrays in a record, got {type(value).__name__}")
