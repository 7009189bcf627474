"""What fewer samples per image cost in certified radius, computed from published certificates.

``python -m benchmarks sample-cap LOG ... --sigma 0.25`` takes logs of n = 100,000 samples, and
prints what the same models are expected to certify with n = 10,000. No model is run: a radius tells
the hits that it was made of, and these the probability of the class. A log is read at its own
alpha, which its record states, or else its largest radius shows. ``--beside OURS`` compares a
record of 10,000 samples with each of them, as if all had so many.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.published_alpha import published_alpha, recorded_setting
from rsmooth.benchmarks.sizes import amount, count, probability
from rsmooth.noise.distributions import Gaussian
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.paths import user_path
from rsmooth.records.files import read_log
from rsmooth.records.log import CertificationLog, check_same_images
from rsmooth.records.merging import cut
from rsmooth.records.metrics import average_certified_radius

Floats = NDArray[np.float64]
RADII = (0.25, 0.5, 0.75)
SLACK = 1e-9  # relative: radii of our records are rounded down


def main(argv: list[str] | None = None) -> int:
    """Compute, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    beside = None if options.beside is None else read_log(options.beside)
    rows = [_row(path, options, beside) for path in options.logs]
    made = provenance({})
    text = _table(rows, options, made)
    print(text)
    asked = {"n": options.n, "of": options.of, "alpha": options.alpha, "sigma": options.sigma}
    write_measurement(options.out, {**asked, "rows": rows, "provenance": made}, text)
    return 0


def _row(
    path: Path, options: argparse.Namespace, beside: CertificationLog | None
) -> dict[str, Any]:
    log, name = read_log(path), "/".join(path.parts[-3:])
    of, alpha, sigma = options.of, options.alpha, options.sigma
    made_with = published_alpha(path, log, sigma, of, alpha)
    return cost(name, log, sigma, options.n, of, alpha, beside, alpha_of=made_with)


def bounds(n: int, alpha: float) -> Floats:
    """The one-sided lower bounds on a probability of 0..n hits among n samples: (n + 1,).

    Clopper and Pearson 1934; 0 hits show nothing.
    """
    hits = np.arange(1, n + 1)
    return np.concatenate([[0.0], scipy.stats.beta.ppf(alpha, hits, n - hits + 1)])


def cost(
    name: str,
    log: CertificationLog,
    sigma: float,
    n: int,
    of: int,
    alpha: float,
    beside: CertificationLog | None = None,
    *,
    alpha_of: float | None = None,
) -> dict[str, Any]:
    """What a log's model is expected to certify with n samples where the log has ``of``.

        cost("cohen", read_log("sigma_0.25"), 0.25, 10_000, 100_000, 0.001)

    beside: a record of n samples at the same sigma and alpha. Then all is of the images that both
        have, and the difference is its radius less the expected one, image by image.
    alpha_of: with which the log was made, where that is not the ``alpha`` of the n samples.

    The hits behind a radius are those whose bound is nearest to it. The probability is taken as
    (hits + 1/2) / (of + 1), and the radius from n samples in its mean over the binomial
    distribution. The selection of the class is taken as the log has it. RecordError where
    ``beside`` is of another n, sigma or alpha, or has other labels, or no image of the log.
    """
    if beside is not None:
        _check_setting(beside, n, alpha, sigma)
        log, beside = _on_common_images(log, beside)
    noise = Gaussian(sigma)
    made_with = alpha if alpha_of is None else alpha_of
    known = noise.radius(bounds(of, made_with))
    right = log.correct.astype(bool) & (log.radius > 0)
    radii = log.radius[right]
    above = np.searchsorted(known, radii).clip(1, of)
    hits = above - (radii - known[above - 1] < known[above] - radii)
    found = noise.radius(bounds(n, alpha))
    spread = [_binomial(n, (count + 0.5) / (of + 1)) for count in hits]
    expected = np.zeros(len(log.idx))
    expected[right] = [share @ found[start : start + len(share)] for start, share in spread]
    change = expected - _held(log)
    reached = {
        f"{r:g}": float(sum(share[found[s : s + len(share)] >= r].sum() for s, share in spread))
        / len(log.idx)
        for r in RADII
    }
    return {
        "log": name,
        "alpha": made_with,
        "images": len(log.idx),
        "largest_radius": float(found[-1]),
        "acr": average_certified_radius(log),
        "acr_expected": float(expected.mean()),
        "change": float(change.mean()),
        "change_error": float(change.std() / np.sqrt(len(change))),
        "at_the_cap": float((_held(log) >= found[-1] * (1 - SLACK)).mean()),
        "accuracy": {f"{r:g}": float((log.correct & (log.radius >= r)).mean()) for r in RADII},
        "accuracy_expected": reached,
        **({} if beside is None else _difference(_held(beside), expected)),
    }


def _check_setting(beside: CertificationLog, n: int, alpha: float, sigma: float) -> None:
    stated = recorded_setting(beside)
    if stated is None or (stated.n, stated.alpha, stated.sigma) != (n, alpha, sigma):
        raise RecordError(
            f"expected a record of n={n:,}, alpha={alpha:g}, sigma={sigma:g} beside the others, "
            f"got {stated or 'a table that states none'}; compare equal settings"
        )


def _on_common_images(
    log: CertificationLog, beside: CertificationLog
) -> tuple[CertificationLog, CertificationLog]:
    """Both logs with the images that each of them has."""
    common = np.intersect1d(log.idx, beside.idx)
    if not len(common):
        raise RecordError("expected images that both logs have, got none; compare one data set")
    pair = cut(log, common), cut(beside, common)
    check_same_images(pair)
    return pair


def _held(log: CertificationLog) -> Floats:
    """The radius of each image, 0 where its answer is wrong: (N,)."""
    return np.where(log.correct, np.maximum(log.radius, 0.0), 0.0)


def _difference(radius: Floats, expected: Floats) -> dict[str, float]:
    more = radius - expected
    return {
        "acr_beside": float(radius.mean()),
        "difference": float(more.mean()),
        "difference_error": float(more.std() / np.sqrt(len(more))),
    }


def _binomial(n: int, p: float) -> tuple[int, Floats]:
    """The first of the likely numbers of hits, and the probabilities from there on."""
    low, high = (int(scipy.stats.binom.ppf(q, n, p)) for q in (1e-9, 1 - 1e-9))
    hits = np.arange(max(low - 1, 0), min(high + 1, n) + 1)
    share = scipy.stats.binom.pmf(hits, n, p)
    return int(hits[0]), share / share.sum()


def _table(rows: Sequence[dict[str, Any]], options: argparse.Namespace, made: Any) -> str:
    beside = ["beside it", "less expected"] if options.beside else []
    lines = [
        f"Expected certificates from n = {options.n:,} samples per image where the logs have "
        f"{options.of:,} (sigma {options.sigma:g}, alpha {options.alpha:g}; {made['date']}, commit "
        f"{made['commit']}). The error of the change is over the images."
        + (f" Beside it: the ACR of {options.beside.name}." if beside else ""),
        "",
        "| log | images | ACR | expected | change | radii at the largest | "
        + " | ".join([*(f"r={r:g}" for r in RADII), *beside])
        + " |",
        "|---|---:|---:|---:|---:|---:|" + "---:|" * len([*RADII, *beside]),
    ]
    lines += [_line(row, options.alpha) for row in rows]
    return "\n".join(lines)


def _line(row: dict[str, Any], alpha: float) -> str:
    accuracies = [
        f"{100 * before:.1f} -> {100 * after:.1f}"
        for before, after in zip(
            row["accuracy"].values(), row["accuracy_expected"].values(), strict=True
        )
    ]
    cells = [
        row["log"] + (f" (alpha {row['alpha']:g})" if row["alpha"] != alpha else ""),
        str(row["images"]),
        f"{row['acr']:.4f}",
        f"{row['acr_expected']:.4f}",
        f"{row['change']:+.4f} ± {row['change_error']:.4f}",
        f"{100 * row['at_the_cap']:.1f} % of {row['largest_radius']:.3f}",
        *accuracies,
    ]
    if "difference" in row:
        error = row["difference_error"]
        cells += [f"{row['acr_beside']:.4f}", f"{row['difference']:+.4f} ± {error:.4f}"]
    return f"| {' | '.join(cells)} |"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} sample-cap",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("logs", nargs="+", type=user_path, help="published logs of Gaussian noise")
    parser.add_argument("--sigma", type=amount, required=True, help="of the logs' noise")
    parser.add_argument("--n", type=count, default=10_000, help="samples to compute it for")
    parser.add_argument("--of", type=count, default=100_000, help="samples that the logs have")
    parser.add_argument("--alpha", type=probability, default=1e-3, help="of what is computed")
    parser.add_argument(
        "--beside", type=user_path, help="a record of --n samples, to compare with what is expected"
    )
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
