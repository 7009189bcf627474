"""Which kind of file a path names, and the part that knows such files."""

from __future__ import annotations

import json
import shlex
import zipfile
from collections.abc import Callable
from pathlib import Path

from rsmooth.config.folder import BEST, CERTIFICATES, CONFIG, METRICS, MODEL
from rsmooth.doctor.asked import Asked, digits
from rsmooth.doctor.checkpoint import examine_checkpoint
from rsmooth.doctor.entries import entries
from rsmooth.doctor.findings import Report
from rsmooth.doctor.images import examine_images
from rsmooth.doctor.logs import examine_table
from rsmooth.doctor.ours import (
    examine_config,
    examine_folder,
    examine_journal,
    examine_json,
    examine_model_file,
    examine_training,
    remark_on_training,
)
from rsmooth.doctor.reading import Weights, is_safetensors, read_arrays, read_weights
from rsmooth.models.natures import LEGACY, ZIPPED, nature
from rsmooth.models.safetensors import ENTRY
from rsmooth.plumbing.errors import RecordError

Examine = Callable[[Path, Asked], Report]
_OF_RUNS = (CONFIG, MODEL, BEST, CERTIFICATES, "certificates.tsv", METRICS, "checkpoint.pt")
_COLUMNS = ("label", "predict", "radius")


def kind_of(path: Path) -> Examine:
    """What examines such a file or folder.

        kind_of(Path("sigma_0.25"))(Path("sigma_0.25"), Asked())

    ValueError, in one line, for a folder that is no run, an empty file, and a file of another kind.
    """
    if path.is_dir():
        return _folder(path)
    with open(path, "rb") as file:
        start = file.read(4096)
    if not start:
        raise ValueError(f"expected a file with content, got {path}, which is empty")
    if start.startswith(ZIPPED):
        return _zipped(path)
    if start.startswith(LEGACY) or is_safetensors(start[:512], path.stat().st_size):
        return _weights
    if path.suffix in (".yaml", ".yml"):
        return examine_config
    return _text(path, start)


def _folder(path: Path) -> Examine:
    shards = list(path.glob("certificates.rank*.jsonl"))
    if shards or any((path / name).exists() for name in _OF_RUNS):
        return examine_folder
    inside = sorted(each.name for each in path.iterdir())[:5]
    holds = f"it holds {', '.join(inside)} ..." if inside else "it is empty"
    raise ValueError(
        f"expected a file or a run folder, got the folder {path}, which is no run ({holds}); name "
        "a file in it"
    )


def _zipped(path: Path) -> Examine:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _weights  # which says how it is damaged
    if not names or not all(name.endswith(".npy") for name in names):
        return _weights
    arrays = [name.removesuffix(".npy") for name in names]
    if any(name.startswith(("x_", "y_")) for name in arrays):
        return lambda path, asked: examine_images(path)
    return lambda path, asked: _arrays(path, asked, arrays)


def _text(path: Path, start: bytes) -> Examine:
    """JSON, journals and tables; ValueError for all else."""
    first = start.split(b"\n", 1)[0]
    if path.suffix == ".jsonl" or start.startswith(b'{"seq":'):
        return _lines(path, first)
    if start.lstrip()[:1] in (b"{", b"[") and path.suffix == ".json":
        return examine_json
    words = first.decode("utf-8-sig", errors="replace").lower()
    if sum(column in words for column in _COLUMNS) >= 2:
        return lambda path, asked: examine_table(path, sigma=asked.sigma, unit=asked.unit)
    raise ValueError(_otherwise(path, start))


def _lines(path: Path, first: bytes) -> Examine:
    if b'"seq"' in first and b'"header"' in first:
        return examine_journal
    try:
        row = json.loads(first)
    except ValueError:
        return examine_journal  # which says in which line it is damaged
    if isinstance(row, dict) and "epoch" in row:
        return _metrics
    return examine_journal


def _metrics(path: Path, asked: Asked) -> Report:
    rows = path.read_text(encoding="utf-8").splitlines()
    report = Report(str(path), "the metrics of a training by rsmooth")
    report.add("ok", "epochs", f"{len(rows)}; the last: {rows[-1][:200]}", epochs=len(rows))
    remark_on_training(report, path)
    report.commands.append(f"rsmooth doctor {shlex.quote(str(path.parent))}")
    return report


def _otherwise(path: Path, start: bytes) -> str:
    """What a file is that none of our verbs reads."""
    wanted = "expected a file of weights, certificates, options or images"
    if b"\0" not in start and start[:1] != b"\x80":
        try:
            start[:-4].decode("utf-8") if len(start) > 8 else start.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            if not start.lstrip().lower().startswith((b"<", b"version https://git-lfs")):
                return (
                    f"{wanted}, got {path}, a text whose first line is no header of a "
                    "certification log (idx label predict radius correct time)"
                )
    return f"{wanted}, got {path}, which {nature(path, ValueError(''))}"


def _weights(path: Path, asked: Asked) -> Report:
    found = read_weights(path)
    content = found.content
    if ENTRY in found.metadata or (isinstance(content, dict) and "format" in content):
        kind = "" if ENTRY in found.metadata else str(content["format"])
        if kind.startswith("rsmooth-training"):
            return examine_training(path, content)
        return examine_model_file(path, asked)
    return _checkpoint(path, asked, found)


def _arrays(path: Path, asked: Asked, names: list[str]) -> Report:
    try:
        found = read_arrays(path, names)
    except (ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise RecordError(
            f"expected plain arrays in {path}, got what cannot be read ({error})"
        ) from None
    return _checkpoint(path, asked, found)


def _checkpoint(path: Path, asked: Asked, found: Weights) -> Report:
    sample = asked.sample()
    if sample is None and asked.images is None:
        known = [each.network for each in entries(found.content) if each.network is not None]
        options = known[0].options if known else {}
        grey = options.get("in_channels") == 1 and options.get("num_classes") == 10
        if grey and options.get("image_size", 8) == 8:
            sample = digits()
    return examine_checkpoint(path, found, sample, entry=asked.entry, out=asked.out)
