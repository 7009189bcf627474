"""The table of training methods: what each does, what an epoch costs, what was published, measured.

``python -m benchmarks defence-table --page docs/compare-defences.md`` writes it between the two
marks of that page. Every figure comes from a file under ``benchmarks/``: costs of ``method-cost``,
published averages of the reference tables, measured ones of the certificates of our own runs.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsmooth.benchmarks.across_seeds import bound_mark
from rsmooth.benchmarks.place import CHECKOUT, FILES, PROGRAM
from rsmooth.benchmarks.presets import SEEDED
from rsmooth.plumbing.files import replace_file
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.records.metrics import average_certified_radius
from rsmooth.report.tables import md_row, md_rule

BEGIN, END = "<!-- table: python -m benchmarks defence-table -->", "<!-- end of table -->"
COSTS = "method-cost-resnet20-cpu.json"
SIGMA = 0.25
# Folders of runs below results/, and the heads of their columns.
MEASURED = {"defences-digits": "digits", "defences-cifar10-cpu": "CIFAR-10, one core"}


@dataclass(frozen=True)
class Row:
    """A method: its name, its idea in a line, its paper, and how the reference tables call it."""

    name: str
    idea: str
    paper: str
    published: tuple[str, ...] = ()


ROWS = (
    Row(
        "gaussian",
        "cross-entropy at noisy images",
        "Cohen et al. 2019, 1902.02918",
        ("Gaussian, Cohen's model", "Gaussian, retrained"),
    ),
    Row(
        "stability",
        "answers at noisy images like those at clean ones",
        "Li et al. 2019, 1809.03113",
        ("Stability",),
    ),
    Row(
        "consistency",
        "the same answer at all copies of an image",
        "Jeong and Shin 2020, 2006.04062",
        ("Consistency",),
    ),
    Row(
        "smoothadv",
        "images that are attacked through the smoothed classifier",
        "Salman et al. 2019, 1906.04584",
        ("SmoothAdv",),
    ),
    Row(
        "smoothadv-consistency",
        "both of these",
        "Jeong and Shin 2020, 2006.04062",
        ("SmoothAdv + consistency",),
    ),
    Row(
        "macer",
        "a soft form of the certified radius is made large",
        "Zhai et al. 2020, 2001.02378",
        ("MACER",),
    ),
    Row(
        "smoothmix",
        "between an image and an attacked one, answers fade to uniform",
        "Jeong et al. 2021, 2111.09277",
        ("SmoothMix",),
    ),
    Row(
        "cat-rs",
        "fewer copies of hard images, and the worst noise of easy ones",
        "Jeong et al. 2023, 2212.09000",
        ("CAT-RS",),
    ),
    Row(
        "ft-cadis",
        "the same with the classifier's own answers; made for fine-tuning behind a denoiser",
        "Jang et al. 2024, 2411.08933",
    ),
    Row(
        "reweighting",
        "hard images are given up, easy ones drawn more often",
        "Sun et al. 2025, 2410.06895",
        ("easy-sample reweighting",),
    ),
)


def table(results: Path, reference: Path) -> str:
    """The table in Markdown, from a folder of results and a CSV file of published runs.

    A column of our own runs is there if their folder is. ValueError without a record of the costs.
    """
    costs, published = _costs(results / COSTS), _published(reference)
    measured = {
        head: found for folder, head in MEASURED.items() if (found := _measured(results / folder))
    }
    heads = ["method", "idea", "paper (arXiv)", "passes", "cost of an epoch"]
    heads += ["ACR published", *(f"ACR {head}" for head in measured)]
    lines = [md_row(*heads), md_rule(len(heads), names=3)]
    for row in ROWS:
        known = [value for name in row.published for value in published.get(name, [])]
        cells = [f"`{row.name}`", row.idea, row.paper, *costs.get(row.name, ("-", "-"))]
        cells.append(", ".join(known) or "-")
        lines.append(md_row(*cells, *(own.get(row.name, "-") for own in measured.values())))
    return "\n".join([*lines, ""])


def main(argv: list[str] | None = None) -> int:
    """Print the table, or write it into a page."""
    options = _parser().parse_args(argv)
    made = table(options.results, FILES / "reference" / "cifar10_later.csv")
    if options.page is None:
        print(made)
        return 0
    text = options.page.read_text(encoding="utf-8")
    replace_file(options.page, with_table(text, made, options.page).encode())
    return 0


def with_table(text: str, made: str, page: Path) -> str:
    """A page with this table between its marks; ValueError where it has none."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"expected the lines {BEGIN} and {END} in {page}, got none; add them")
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def _costs(path: Path) -> dict[str, tuple[str, str]]:
    """Passes by the formula, and the measured median and range, of each method."""
    if not path.is_file():
        raise ValueError(f"expected {path}, got no such file; {PROGRAM} method-cost writes it")
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
    found = {}
    for row in rows:
        low, high = row["ratio_range"]
        digits = 2 if high < 10 else 1
        spread = "" if low == high else f" ({low:.{digits}f} to {high:.{digits}f})"
        measured = f"{row['ratio']:.{digits}f}{spread}"
        found[row["method"]] = (f"{row['formula']:.1f}", measured)
    return found


def _published(path: Path) -> dict[str, list[str]]:
    """The published averages on all test images at our sigma, as written, by their method."""
    found: dict[str, list[str]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            if float(row["sigma"]) == SIGMA and row["images"] == "10000" and row["acr"]:
                found.setdefault(row["method"], []).append(row["acr"])
    return found


def _measured(folder: Path) -> dict[str, str]:
    """The averages of each method's trainings."""
    runs: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*/certificates.tsv")):
        match = SEEDED.fullmatch(path.parent.name)
        runs.setdefault(match["method"] if match else path.parent.name, []).append(path)
    return {method: _average(paths) for method, paths in runs.items()}


def _average(paths: Sequence[Path]) -> str:
    """Mean and standard deviation of several trainings; of one or two, what each has."""
    logs = [read_log(path) for path in paths]
    averages = [average_certified_radius(log) for log in logs]
    bound = bound_mark(logs)
    if len(averages) > 2:
        return f"{bound}{np.mean(averages):.3f} ± {np.std(averages, ddof=1):.3f}"
    return ", ".join(f"{bound}{average:.3f}" for average in averages)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} defence-table",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = (CHECKOUT or Path()) / "benchmarks" / "results"
    parser.add_argument(
        "--results", type=user_path, default=default, help="folder of committed results"
    )
    parser.add_argument(
        "--page", type=user_path, help="page to write the table into; default: print it"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
