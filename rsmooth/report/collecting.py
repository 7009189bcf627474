"""Certification logs in a folder, archives included, with what could not be read."""

from __future__ import annotations

import logging
import re
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.records.log import CertificationLog
from rsmooth.records.published import provenance_file

# What stands beside logs, and is none.
_OTHERS = (".md", ".json", ".yaml", ".png", ".pdf", ".tex", ".csv.gz")
_ARCHIVES = (".tar.gz", ".tgz", ".tar")
_LARGEST = 200_000_000  # bytes of one file in an archive
_SIGMA = re.compile(r"(?:noi(?:se|st)|sigma)[_-]?(\d+(?:\.\d+)?)", re.IGNORECASE)
_DATA = (
    ("cifar100", re.compile(r"cifar-?100", re.IGNORECASE)),
    ("cifar10", re.compile(r"cifar", re.IGNORECASE)),
    ("fmnist", re.compile(r"f(?:ashion)?[-_]?mnist", re.IGNORECASE)),
    ("mnist", re.compile(r"mnist", re.IGNORECASE)),
    ("tiny-imagenet", re.compile(r"tiny[-_]?imagenet", re.IGNORECASE)),
    ("imagenet", re.compile(r"imagenet", re.IGNORECASE)),
    ("svhn", re.compile(r"svhn", re.IGNORECASE)),
    ("digits", re.compile(r"digits", re.IGNORECASE)),
)
_BOILERPLATE = re.compile(r"data|certify|certified|results|test|.*mnist|.*imagenet|cifar-?100?")


@dataclass(frozen=True)
class FoundLog:
    """A log and where it was found: the name of its archive or folder, and the path within.

        collect("published_logs").logs[0].method

    notes: what the reader remarked.
    """

    log: CertificationLog
    home: str
    path: str
    notes: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """Where it is from, in one line."""
        return f"{self.home}: {self.path}"

    @property
    def data(self) -> str | None:
        """The data set that the path names, the outermost part first; None where none does."""
        for part in self.path.split("/"):
            for name, pattern in _DATA:
                if pattern.search(part):
                    return name
        return None

    @property
    def sigma(self) -> float | None:
        """The sigma in the last part of the path that names one."""
        found = _SIGMA.findall(self.path)
        return float(found[-1]) if found else None

    @property
    def method(self) -> str:
        """The path without what it says about data set and noise; else the name of the home."""
        *folders, leaf = self.path.split("/")
        stem = re.sub(r"\.(tsv|txt|csv|jsonl)$", "", leaf)
        rest = _SIGMA.sub("", stem).strip("_-")
        last = [rest] if re.search("[A-Za-z]{2}", rest) else []
        kept = [
            part for part in folders if not _BOILERPLATE.fullmatch(part) and not _SIGMA.search(part)
        ]
        return "/".join([*kept, *last]) or f"{self.home} (no method in the path)"


@dataclass(frozen=True)
class LeftOut:
    """A file that is not on the board, and why."""

    source: str
    reason: str


def not_certified(folders: Iterable[Path]) -> list[LeftOut]:
    """Run folders without certificates, as a report names them.

    not_certified([Path("runs/a")])[0].reason   # "not certified yet."
    """
    return [LeftOut(folder.name, "not certified yet.") for folder in folders]


@dataclass
class Collection:
    """What a folder holds.

    len(collect("published_logs").logs)
    """

    logs: list[FoundLog] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def collect(folder: str | Path) -> Collection:
    """All certification logs below a folder, and in tar archives there.

        found = collect("published_logs")
        [log.source for log in found.logs], [each.reason for each in found.left_out]

    Every file that is no document, picture or configuration is tried. What cannot be read is in
    ``left_out`` with the reader's words. ``alinlab__smoothing-catrs.tar.gz`` is the repository
    alinlab/smoothing-catrs. FileNotFoundError where there is no such folder.
    """
    root, found = user_path(folder), Collection()
    if not root.is_dir():
        raise FileNotFoundError(f"expected a folder of logs, got no such folder: {root}")
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or name.startswith(".") or "/." in name:
            continue
        if path.name.endswith(_ARCHIVES):
            _read_archive(path, found)
        elif path.suffix not in _OTHERS:
            _read(path, root.name, name, found)
    return found


def _read_archive(path: Path, found: Collection) -> None:
    home = re.sub(r"\.(tar\.gz|tgz|tar)$", "", path.name)
    try:
        with tarfile.open(path) as archive, tempfile.TemporaryDirectory() as scratch:
            members = [each for each in archive.getmembers() if each.isfile()]
            beside = {each.name: each for each in members}
            for member in sorted(members, key=lambda each: each.name):
                inner = member.name.removeprefix(f"{home}/")
                if Path(inner).suffix in _OTHERS:
                    continue
                if member.size > _LARGEST:
                    found.left_out.append(LeftOut(f"{path.name}: {inner}", "too large for a log"))
                    continue
                # Of our own name: those of the archive decide no path.
                copy = Path(scratch) / ("log.jsonl" if inner.endswith(".jsonl") else "log")
                _extract(archive, member, copy)
                _extract(archive, beside.get(f"{member.name}.json"), provenance_file(copy))
                _read(copy, home.replace("__", "/", 1), inner, found)
    except (tarfile.TarError, OSError, EOFError) as error:
        found.left_out.append(LeftOut(path.name, f"no archive that can be read: {error}"))


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo | None, copy: Path) -> None:
    """The content of a member as the file ``copy``; no such file where there is no member."""
    copy.unlink(missing_ok=True)
    stream = None if member is None else archive.extractfile(member)
    if stream is not None:
        copy.write_bytes(stream.read())


def _read(path: Path, home: str, name: str, found: Collection) -> None:
    with _remarks() as notes:
        try:
            log = read_log(path)
        except (RecordError, OSError) as error:
            reason = str(error).replace(f"{path}, ", "").replace(f"{path}: ", "")
            found.left_out.append(LeftOut(f"{home}: {name}", reason))
            return
    said = tuple(note.replace(f"{path}: ", "") for note in notes)
    found.logs.append(FoundLog(log, home, name, said))


@contextmanager
def _remarks() -> Iterator[Sequence[str]]:
    """Collects what the readers of records would warn about, in place of printing it."""
    notes: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("rsmooth.records")
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
