"""How long commands take before they do anything, and their memory, each as a whole process.

``python -m benchmarks start-up`` starts each one in turns, beside ``import torch``, and forms the
ratio of a turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from typing import Any

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.sizes import count
from rsmooth.plumbing.paths import user_path

BESIDE = "import torch"
COMMANDS: dict[str, list[str]] = {
    "python": ["-c", "pass"],
    BESIDE: ["-c", "import torch"],
    "import rsmooth": ["-c", "import rsmooth"],
    "from rsmooth import certify": ["-c", "from rsmooth import certify"],
    "rsmooth --help": ["-m", "rsmooth", "--help"],
    "rsmooth certify --help": ["-m", "rsmooth", "certify", "--help"],
    "rsmooth plan": ["-m", "rsmooth", "plan", "--sigma", "0.25"],
    "rsmooth list": ["-m", "rsmooth", "list"],
}
# Runs a command and prints its seconds, those of its processor, and its largest memory in MB.
_MEASURE = """
import os, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
if code:
    raise SystemExit(code)
print(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)
"""


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(options.repeats + 1):
        for name, command in COMMANDS.items():
            found = _run(command)
            if turn:  # the first one brings the files into memory
                runs[name].append(found)
    rows = [_row(name, found, runs[BESIDE]) for name, found in runs.items()]
    result = {"rows": rows, "load": os.getloadavg()[0], "provenance": provenance()}
    table = _table(result, options)
    print(table)
    write_measurement(options.out, result, table)
    return 0


def _run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of the processor, MB; CalledProcessError where the command fails."""
    said = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, *command],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    wall, busy, memory = map(float, said.split())
    return wall, busy, memory


def _row(
    name: str,
    runs: list[tuple[float, float, float]],
    beside: list[tuple[float, float, float]],
) -> dict[str, Any]:
    return {
        "command": name,
        "seconds": [wall for wall, _, _ in runs],
        "processor_seconds": [busy for _, busy, _ in runs],
        "megabytes": [memory for _, _, memory in runs],
        "ratios": [own[1] / other[1] for own, other in zip(runs, beside, strict=True)],
    }


def _table(result: dict[str, Any], options: argparse.Namespace) -> str:
    made = result["provenance"]
    lines = [
        f"Whole processes (median of {options.repeats} turns, least and largest; {made['cpu']}, "
        f"python {made['python']}, torch {made['versions']['torch']}, {made['date']}, commit "
        f"{made['commit']}; load average {result['load']:.1f}, so compare the ratios, which are "
        "of the processor's seconds)",
        "",
        "| command | seconds | of the processor | ratio to import torch | MB |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in result["rows"]:
        wall, busy, ratio = (
            f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"
            for values in (row["seconds"], row["processor_seconds"], row["ratios"])
        )
        memory = statistics.median(row["megabytes"])
        lines.append(f"| `{row['command']}` | {wall} | {busy} | {ratio} | {memory:,.0f} |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} start-up",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=count, default=5, help="turns; the median counts")
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
