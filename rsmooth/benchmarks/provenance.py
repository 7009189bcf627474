"""The provenance of a measurement: machine, versions, commit, command, date."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.place import CHECKOUT, PROGRAM
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.processes import usable_cores


def write_measurement(out: Path | None, content: Mapping[str, Any], table: str) -> None:
    """Write what was measured as ``out``.json, and its table as ``out``.md; nothing for None.

    write_measurement(Path("results/start-up"), {"rows": rows, "provenance": provenance()}, table)
    """
    if out is None:
        return
    replace_file(f"{out}.json", f"{json.dumps(content, indent=1)}\n".encode())
    replace_file(f"{out}.md", f"{table}\n".encode())


def provenance(seeds: dict[str, int] | None = None, command: str | None = None) -> dict[str, Any]:
    """What the figures of this process depend on, without host names and paths.

        provenance({"train": 0})["commit"]

    command: the command line of the user, where this process was started with another one.
    """
    import torch

    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command or this_command(),
        "commit": git_commit(),
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "versions": {
            name: _version(name) for name in ("rsmooth", "torch", "torchvision", "numpy", "scipy")
        },
        "seeds": seeds or {},
    }


def this_command() -> str:
    """The command line of the harness, with the names of files in place of their paths."""
    return " ".join([PROGRAM, *map(_without_folder, sys.argv[1:])])


def git_commit() -> str:
    """The commit of the code, or "unknown" where it is not a checkout of its own.

    It ends with "+changes" where tracked files differ from the commit.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments],
            cwd=CHECKOUT,
            check=True,
            capture_output=True,
            text=True,
            timeout=10,
        ).stdout.strip()

    try:
        # A wheel may lie in somebody else's repository.
        if CHECKOUT is None or Path(git("rev-parse", "--show-toplevel")).resolve() != CHECKOUT:
            return "unknown"
        return git("rev-parse", "--short=12", "HEAD") + (
            "+changes" if git("status", "--porcelain", "-uno") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def cpu_model() -> str:
    """The name of the processor, and its bf16 instructions, on which speed here depends."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    names = {key.strip(): value.strip() for key, value in fields.items()}
    flags = set(names.get("flags", "").split())
    fast = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in flags]
    return names.get("model name", platform.machine()) + (
        f" ({', '.join(fast)})" if fast else " (no bf16)"
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout
        if package == "rsmooth":
            from rsmooth._version import __version__

            return __version__
        return None


def _without_folder(argument: str) -> str:
    return Path(argument).name if os.sep in argument else argument
