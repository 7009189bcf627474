"""Which record an audit has tested, and whether that is the one beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rsmooth.records.files import audit_of, record_files
from rsmooth.records.journal import config_hash
from rsmooth.records.log import CertificationLog


def identified(source: Path) -> list[dict[str, str]]:
    """Each file of a record: its name, with that of its folder, and its SHA-256.

    identified(Path("runs/a"))[0]["file"]     # "a/certificates.jsonl"
    """
    return [
        {
            "file": "/".join(file.resolve().parts[-2:]),
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in record_files(source)
    ]


def states_of(log: CertificationLog, source: Path) -> dict[str, Any]:
    """What an audit states of the record that it tested, which another may take the place of.

        states_of(read_log("runs/a"), Path("runs/a"))["config"]

    config: as in every line of the journal. record: its files as they were.
    """
    return {"config": config_hash(log.provenance), "record": identified(source)}


def of_another(audit: Mapping[str, Any], log: CertificationLog) -> bool:
    """Whether an audit is of another record; False where it does not say, as earlier ones.

    of_another(json.loads(Path("runs/a/audit.json").read_text()), read_log("runs/a"))
    """
    return audit.get("config") not in (None, config_hash(log.provenance))


def beside(audit: Path) -> Path | None:
    """The record that an audit stands beside; None without one.

    beside(Path("voting.audit.json"))      # Path("voting.jsonl")
    """
    stem = audit.name.removesuffix("audit.json").removesuffix(".")
    near = [audit.parent / f"{stem}{end}" for end in (".jsonl", ".tsv", "")]
    for path in near if stem else [audit.parent]:
        try:
            found = all(file.is_file() for file in record_files(path))
        except FileNotFoundError:
            continue
        if found and audit_of(path) == audit:
            return path
    return None
