"""Damages every kind of file that rsmooth reads, and counts what is read as something else.

    python -m tests.system.damage 10000            # files per kind; one core, about ten minutes
    python -m tests.system.damage 500 npz journal  # only the kinds that begin so

Each damaged file is refused, reads as before, has fewer rows (a log that ends earlier is a log), or
reads as something else. The last must not happen, but in a bare table and in weights of torch's old
format, which have no checksum.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsmooth.config.images import load_split, trained_on
from rsmooth.data import load_dataset
from rsmooth.models import load_checkpoint
from rsmooth.plumbing.exits import EXPLAINED
from rsmooth.records.files import read_log, write_log
from rsmooth.records.journal import Journal
from rsmooth.records.log import CertificationLog
from rsmooth.registry import MODELS, RegistryError
from rsmooth.smoothed import SmoothedClassifier

ROWS = 12
Facts = dict[Any, bytes]
"""What a file says: a row, an image or a tensor by its name."""


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    make: writes a sound one, and what belongs to it, into a folder, and returns the file to damage.
    read: what a user gets from the folder, in comparable form.
    unprotected: whether the format has no checksum, so that damage may go unnoticed.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Facts]
    unprotected: bool = False


def damaged(content: bytes, generator: random.Random) -> bytes:
    """Bytes with one fault, as disks, transfers, editors and full disks leave them."""
    place = generator.randrange(len(content))
    end = min(len(content), place + generator.choice([1, 2, 8, 64, 512]))
    fault = generator.randrange(10)
    if fault <= 2:
        return (
            content[:place]
            + bytes([content[place] ^ 1 << generator.randrange(8)])
            + content[place + 1 :]
        )
    if fault == 3:
        return content[:place] + generator.randbytes(end - place) + content[end:]
    if fault == 4:
        return content[:place]
    if fault == 5:
        return content[:place] + content[end:]
    if fault == 6:
        return content[:end] + content[place:]
    if fault == 7:
        return content[:place] + bytes(end - place) + content[end:]
    if fault == 8:
        return (
            content[:place]
            + bytes([generator.choice(b"0123456789.-+eE \t\n")])
            + content[place + 1 :]
        )
    lines = content.splitlines(keepends=True)
    one, other = generator.randrange(len(lines)), generator.randrange(len(lines))
    if generator.random() < 0.3:
        del lines[one]
    lines[one:one], lines[other:other] = lines[other : other + 1], lines[one : one + 1]
    return b"".join(lines)


def outcome(before: Facts, after: Facts) -> str:
    """How what was read compares with what is true."""
    if after == before:
        return "same"
    kept = all(before.get(name) == value for name, value in after.items())
    return "fewer" if kept and len(after) < len(before) else "other"


def try_kind(kind: Kind, count: int, seed: int = 0) -> Counter[str]:
    """The outcomes of ``count`` damaged files; an error of another kind than ours is a "bug"."""
    found: Counter[str] = Counter()
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as name, quiet() as said:
        folder = Path(name)
        path = kind.make(folder)
        sound = path.read_bytes()
        before = kind.read(folder)
        for _ in range(count):
            content = damaged(sound, generator)
            while content == sound:
                content = damaged(sound, generator)
            path.write_bytes(content)
            said.clear()
            try:
                result = outcome(before, kind.read(folder))
            except (*EXPLAINED, RegistryError):
                result = "refused"
            except Exception as error:  # counted and named
                result = f"bug {type(error).__name__}"
            if result in ("fewer", "other"):
                result += " (warned)" if said else " (silent)"
            found[result] += 1
    return found


@contextmanager
def quiet() -> Iterator[list[str]]:
    """A context in which warnings and log messages are kept in a list, and not shown."""
    said: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("rsmooth")
    was = logger.propagate
    logger.propagate = False
    logger.addHandler(handler)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: said.append(str(message))  # type: ignore[assignment]
        try:
            yield said
        finally:
            logger.removeHandler(handler)
            logger.propagate = was


# ---- records


def rows_of(log: CertificationLog) -> Facts:
    """The certificates; the time, which is no result, is left out."""
    columns = [log.idx, log.label, log.predict, log.radius, log.correct]
    return {
        int(row[0]): repr([value.item() for value in row]).encode()
        for row in zip(*columns, strict=True)
    }


def stated(log: CertificationLog) -> Facts:
    return {**rows_of(log), "provenance": json.dumps(log.provenance, sort_keys=True).encode()}


def some_log() -> CertificationLog:
    generator = np.random.default_rng(0)
    label = generator.integers(0, 10, ROWS)
    predict = np.where(generator.random(ROWS) < 0.2, -1, label)
    return CertificationLog(
        idx=np.arange(ROWS) * 20,
        label=label,
        predict=predict,
        radius=np.where(predict < 0, 0.0, generator.random(ROWS)),
        correct=predict == label,
        time=np.ones(ROWS),
        provenance={
            "sigma": 0.25,
            "n": 1000,
            "alpha": 0.001,
            "mode": "fixed",
            "seed": 0,
            "normalize": "none",
            "noise": {"kind": "grid", "total_variation": 0.0},
            "dataset": {"name": "toy", "images": ROWS, "fingerprint": "0123456789abcdef"},
        },
    )


def make_journal(folder: Path) -> Path:
    log = some_log()
    with Journal(folder / "a.jsonl", log.provenance) as journal:
        for row in range(ROWS):
            journal.append(
                "image",
                {
                    "idx": log.idx[row],
                    "label": log.label[row],
                    "predict": log.predict[row],
                    "radius": log.radius[row],
                    "correct": bool(log.correct[row]),
                    "seconds": 1.0,
                },
            )
    return folder / "a.jsonl"


def make_table(folder: Path) -> Path:
    write_log(some_log(), folder / "a.tsv")
    return folder / "a.tsv"


def make_provenance(folder: Path) -> Path:
    make_table(folder)
    return folder / "a.tsv.json"


def make_bare_table(folder: Path) -> Path:
    make_table(folder)
    (folder / "a.tsv.json").unlink()
    return folder / "a.tsv"


# ---- weights


def weights_of(module: torch.nn.Module) -> Facts:
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def make_model(folder: Path) -> Path:
    torch.manual_seed(0)
    options = {"num_classes": 3, "in_channels": 1, "width": 2}
    SmoothedClassifier(MODELS.create("small-cnn", **options), 0.25, 3).save(folder / "model.pt")
    return folder / "model.pt"


def make_saved(folder: Path, target: str, damaged: str) -> Path:
    """The model of ``make_model`` as another kind of file, of which one is to be damaged."""
    SmoothedClassifier.load(make_model(folder)).save(f"{folder}/{target}")
    return folder / damaged


def read_model(folder: Path, name: str = "model.pt") -> Facts:
    g = SmoothedClassifier.load(folder / name)
    return {**weights_of(g.base), "g": f"{g.noise} {g.num_classes} {g.num_noise}".encode()}


def make_checkpoint(folder: Path, *, legacy: bool) -> Path:
    torch.manual_seed(0)
    net = MODELS.create("resnet8", num_classes=3, normalize="cifar10")[1]
    weights = {f"1.{name}": tensor for name, tensor in net.state_dict().items()}
    path = folder / "checkpoint.pth.tar"
    content = {"epoch": 90, "arch": "resnet8", "state_dict": weights}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


def read_checkpoint(folder: Path) -> Facts:
    path = folder / "checkpoint.pth.tar"
    return weights_of(load_checkpoint(path, normalize="cifar10", arch="resnet8"))


# ---- images


def make_npz(folder: Path, *, compressed: bool) -> Path:
    generator = np.random.default_rng(0)
    arrays = {
        "x_test": generator.integers(0, 256, (ROWS, 12, 12), dtype=np.uint8),
        "y_test": generator.integers(0, 3, ROWS),
    }
    (np.savez_compressed if compressed else np.savez)(folder / "data.npz", **arrays)
    return folder / "data.npz"


def images_of(data: Any) -> Facts:
    images, labels = data.batch(range(len(data)))
    return {
        i: f"{int(label)} {tuple(image.shape)} ".encode() + image.numpy().tobytes()
        for i, (image, label) in enumerate(zip(images, labels, strict=True))
    }


def make_config(folder: Path) -> Path:
    make_npz(folder, compressed=False)
    (folder / "config.yaml").write_text(
        "sigma: 0.25\ndataset:\n  name: npz\n  path: $DAMAGE_DATA\n  num_classes: 3\nmodel: mlp\n"
        "trainer:\n  name: smoothadv\n  epochs: 3\nattack: null\nseed: 0\n"
    )
    return folder / "config.yaml"


def read_config(folder: Path) -> Facts:
    import os

    os.environ["DAMAGE_DATA"] = str(folder / "data.npz")
    return images_of(load_split(trained_on(folder), "test"))


KINDS = {
    "journal": Kind(make_journal, lambda folder: rows_of(read_log(folder / "a.jsonl"))),
    "table beside its provenance": Kind(
        make_table, lambda folder: stated(read_log(folder / "a.tsv"))
    ),
    "provenance": Kind(make_provenance, lambda folder: stated(read_log(folder / "a.tsv"))),
    "bare table": Kind(
        make_bare_table, lambda folder: rows_of(read_log(folder / "a.tsv")), unprotected=True
    ),
    "model.pt": Kind(make_model, read_model),
    "model.safetensors": Kind(
        lambda folder: make_saved(folder, "m.safetensors", "m.safetensors"),
        lambda folder: read_model(folder, "m.safetensors"),
    ),
    "weights of a folder": Kind(
        lambda folder: make_saved(folder, "hub/", "hub/model.safetensors"),
        lambda folder: read_model(folder, "hub"),
    ),
    "config.json of a folder": Kind(
        lambda folder: make_saved(folder, "hub/", "hub/config.json"),
        lambda folder: read_model(folder, "hub"),
    ),
    "checkpoint": Kind(lambda folder: make_checkpoint(folder, legacy=False), read_checkpoint),
    "checkpoint of the old format": Kind(
        lambda folder: make_checkpoint(folder, legacy=True), read_checkpoint, unprotected=True
    ),
    "npz": Kind(
        lambda folder: make_npz(folder, compressed=False),
        lambda folder: images_of(load_dataset("npz", path=folder / "data.npz").test),
    ),
    "npz, compressed": Kind(
        lambda folder: make_npz(folder, compressed=True),
        lambda folder: images_of(load_dataset("npz", path=folder / "data.npz").test),
    ),
    "config.yaml": Kind(make_config, read_config),
}


def main(arguments: list[str]) -> int:
    """Print the outcomes of each kind; 1 where one is read as something else."""
    count, wanted = int(arguments[0]) if arguments else 1000, tuple(arguments[1:]) or ("",)
    wrong = 0
    for name, kind in KINDS.items():
        if not name.startswith(wanted):
            continue
        start = time.perf_counter()
        found = try_kind(kind, count)
        shown = ", ".join(f"{number} {result}" for result, number in sorted(found.items()))
        print(f"{name}: {shown} ({time.perf_counter() - start:.0f} s)", flush=True)
        others = sum(number for result, number in found.items() if result.startswith("other"))
        wrong += 0 if kind.unprotected else others
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
