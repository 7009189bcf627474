"""The samples that each mode of certification needs on trained models, and its certified accuracy.

``python -m benchmarks certify-samples`` trains the Gaussian and SmoothAdv arms of the digits preset
at several sigmas, or takes run folders (``--runs``). It draws n votes per image once. Every mode
reads the same votes, up to the sample at which it stops. So the result is that of a run of its own.
With ``--logs`` the figures are exact ones for the vote shares of published logs, without a model.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.presets import load_preset
from rsmooth.benchmarks.provenance import provenance, write_measurement
from rsmooth.benchmarks.published_samples import rows_of_logs
from rsmooth.benchmarks.published_samples import table as table_of_logs
from rsmooth.benchmarks.sizes import amount, count, probability
from rsmooth.benchmarks.wald import wald_bound
from rsmooth.certify.proof.rules import GridRule, RadiusRule, stopping_rule
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.requests import Outcome, Procedure, VoteRequest
from rsmooth.certify.votes.schedule import Task, drive, open_pool
from rsmooth.data.images import ImageData
from rsmooth.data.splits import load_dataset
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.progress import ProgressBar
from rsmooth.records.log import ABSTAIN
from rsmooth.smoothed import SmoothedClassifier

N0 = 100
TOLERANCE = 0.02  # of the anytime mode, in units of sigma


@dataclass(frozen=True)
class Stream:
    """The votes of N images: the tested class (N,), and its hits (N, L) after looks[l] samples."""

    tested: NDArray[np.int64]
    looks: tuple[int, ...]
    hits: NDArray[np.int64]


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table, write JSON and Markdown with provenance, and return 0."""
    options = _parser().parse_args(argv)
    if options.logs:
        rows = rows_of_logs(options)
        made = provenance()
        table = table_of_logs(rows, made, options)
    else:
        rows = [row for model in _models(options) for row in _compare(*model, options)]
        made = provenance({"train": 0, "noise": 0})
        table = _table(rows, made, options)
    print(table)
    content = {"n": options.n, "alpha": options.alpha, "rows": rows, "provenance": made}
    write_measurement(options.out, content, table)
    return 0


def _models(options: argparse.Namespace) -> Iterator[tuple[str, SmoothedClassifier, ImageData]]:
    """Name, model and test images of each run folder, or of each arm and sigma trained here."""
    if options.runs:
        for run in options.runs:
            from rsmooth.config.images import choose_images

            data = choose_images(
                None, run, split="test", skip=options.skip, limit=options.images, only=None
            )
            if not isinstance(data, ImageData):
                raise ValueError(
                    f"expected runs on images in memory, got {run} on an image "
                    "folder; choose others"
                )
            yield run.name, SmoothedClassifier.load(run / "model.pt"), data
        return
    splits = load_dataset("digits", validation=0.2)
    assert isinstance(splits.train, ImageData)
    assert isinstance(splits.test, ImageData)
    test = splits.test.subset(
        range(0, len(splits.test), max(1, len(splits.test) // options.images))
    )
    for sigma in options.sigmas:
        for arm in ("gaussian", "smoothadv"):
            yield arm, _train(arm, sigma, splits.train, options), test


def _train(
    arm: str, sigma: float, data: ImageData, options: argparse.Namespace
) -> SmoothedClassifier:
    from rsmooth.config.parts import build_trainer
    from rsmooth.registry import MODELS

    train = next(one for one in load_preset("digits").arms if one.name == arm).train or {}
    torch.manual_seed(0)
    model = {**train["model"]}
    base = MODELS.create(model.pop("name"), num_classes=10, in_channels=1, **model)
    g = SmoothedClassifier(base, sigma, 10)
    trainer = build_trainer({**train["trainer"], "epochs": options.epochs}, train.get("attack"), 0)
    trainer.fit(g, data, progress=False)
    return g.eval()


def _modes(
    sigma: float, options: argparse.Namespace
) -> list[tuple[str, StoppingRule, tuple[float, ...]]]:
    """Name and rule of each mode, and the radii at which its accuracy is read."""
    grid = tuple(float(radius) for radius in np.arange(0.0, 3.0 * sigma + 1e-9, options.step))

    def rule(mode: str, **option: object) -> StoppingRule:
        wanted: Any = option
        return stopping_rule(mode, sigma, options.n, options.alpha, **wanted)

    at = [
        (f"radius {factor:g} sigma", rule("radius", radius=factor * sigma), (factor * sigma,))
        for factor in (0.5, 1.0, 2.0)
    ]
    return [
        ("fixed", rule("fixed"), ()),
        *at,
        (f"grid of {options.step:g} to 3 sigma", rule("grid", radii=grid), grid),
        (f"anytime to {TOLERANCE:g} sigma", rule("anytime", tolerance=TOLERANCE * sigma), grid),
    ]


def _compare(
    name: str, g: SmoothedClassifier, data: ImageData, options: argparse.Namespace
) -> list[dict[str, object]]:
    modes = _modes(g.sigma, options)
    stream = _draw(g, data, sorted({look for _, rule, _ in modes for look in rule.looks}), options)
    correct = stream.tested == data.labels.numpy()
    fixed = _decide(modes[0][1], stream)[0]
    rows = []
    for mode, rule, radii in modes:
        radius, samples = _decide(rule, stream)
        ours = [float((correct & (radius >= r)).mean()) for r in radii]
        theirs = [float((correct & (fixed >= r)).mean()) for r in radii]
        errors = [
            float(np.sqrt(max(a * (1 - a), b * (1 - b)) / len(data)))
            for a, b in zip(ours, theirs, strict=True)
        ]
        rows.append(
            {
                "model": name,
                "sigma": g.sigma,
                "mode": mode,
                "images": len(data),
                "mean_samples": float(samples.mean()),
                "median_samples": float(np.median(samples)),
                "mean_samples_error": float(samples.std() / np.sqrt(len(samples))),
                "saving": options.n / float(samples.mean()),
                "wald_bound": _wald(rule, stream),
                "radii": radii,
                "accuracy": ours,
                "accuracy_fixed": theirs,
                "standard_error": errors,
            }
        )
    return rows


def _decide(rule: StoppingRule, stream: Stream) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The radius of each image under a rule, or -1 for an abstention, and its samples."""
    columns = [stream.looks.index(look) for look in rule.looks]
    radius, samples = np.empty(len(stream.tested)), np.empty(len(stream.tested), dtype=np.int64)
    for row, hits in enumerate(stream.hits[:, columns].tolist()):
        decisions = (rule.decide(hits[:count]) for count in range(1, len(hits) + 1))
        decision = next(one for one in decisions if one is not None)
        radius[row] = decision.radius if decision.certified else ABSTAIN
        samples[row] = decision.samples
    return radius, samples


def _wald(rule: StoppingRule, stream: Stream) -> float | None:
    """The mean lower bound on the samples of tests like these, at the shares of all votes."""
    if not isinstance(rule, RadiusRule | GridRule):
        return None
    shares = (stream.hits[:, -1] / stream.looks[-1]).tolist()
    return float(np.mean([wald_bound(rule.test, share) for share in shares]))


def _reader(looks: Sequence[int]) -> Procedure:
    """A procedure that selects a class as CERTIFY does, and records its hits at all looks."""
    selection = (yield VoteRequest("select", N0))[:-1]
    tested, hits = int(selection.argmax()), []
    for look in looks:
        votes = yield VoteRequest("estimate", look)
        hits.append(int(votes[tested]))
    return Outcome(
        tested,
        0.0,
        votes[:-1],
        int(votes[-1]),
        selection,
        looks[-1],
        tuple(zip(looks, hits, strict=True)),
    )


def _draw(
    g: SmoothedClassifier, data: ImageData, looks: Sequence[int], options: argparse.Namespace
) -> Stream:
    shape = data.images.shape[1:]
    settings = CertifySettings(n=options.n, alpha=options.alpha, precision=options.precision)
    samples = float(options.n) * len(data)
    pool = open_pool(g, noisy_images("integer", g.noise, 0, shape), shape, settings, samples)
    tasks = (
        Task(at, int(data.index[at]), data.images[at], _reader(looks)) for at in range(len(data))
    )
    outcomes: dict[int, Outcome] = {}
    with ProgressBar(len(data), True, samples_each=N0 + options.n) as bar:
        for turn in drive(pool, tasks):
            outcomes.update({task.position: task.outcome for task in turn.finished})
            bar.update(len(turn.finished), turn.samples)
    ordered = [outcomes[at] for at in range(len(data))]
    return Stream(
        np.array([outcome.label for outcome in ordered]),
        tuple(looks),
        np.array([[hits for _, hits in outcome.looks] for outcome in ordered]),
    )


def _table(
    rows: list[dict[str, object]], made: dict[str, object], options: argparse.Namespace
) -> str:
    lines = [
        f"Samples per image of each mode, at most n={options.n:,}, alpha={options.alpha:g}, on the "
        f"same votes ({made['cpu']}, {made['date']}, commit {made['commit']}). Mean samples ± "
        "standard error over the images: a few images with a radius near the one in question take "
        "most samples. The largest difference in certified accuracy is over all radii of the mode, "
        "in standard errors of the fixed one. The Wald bound is the fewest samples of any tests "
        "with this level and power that know each image's vote share beforehand.",
        "",
        "| model | sigma | mode | images | mean samples | Wald bound | median | fewer by | largest "
        "difference to fixed | in standard errors |",
        "|---|---:|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        found: Any = row
        gaps = np.abs(np.subtract(found["accuracy"], found["accuracy_fixed"]))
        apart = gaps / np.maximum(found["standard_error"], 1e-9)
        worst = [f"{100 * max(gaps, default=0):.1f} points", f"{max(apart, default=0):.2f}"]
        lines.append(
            f"| {row['model']} | {row['sigma']:g} | {row['mode']} | {row['images']} | "
            f"{row['mean_samples']:,.0f} ± {row['mean_samples_error']:,.0f} | "
            f"{'' if found['wald_bound'] is None else format(found['wald_bound'], ',.0f')} | "
            f"{row['median_samples']:,.0f} | {row['saving']:.1f}x | "
            + " | ".join(worst if len(gaps) else ["", ""])
            + " |"
        )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        allow_abbrev=False,
        prog=f"{PROGRAM} certify-samples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--runs", nargs="+", type=user_path, help="run folders; default: train on the digits"
    )
    parser.add_argument(
        "--logs", nargs="+", type=user_path, help="published logs, with their --sigmas"
    )
    parser.add_argument(
        "--sigmas",
        nargs="+",
        type=amount,
        default=[0.25, 0.5],
        help="noise of the trained models, or of each log",
    )
    parser.add_argument("--epochs", type=count, default=20, help="epochs of training")
    parser.add_argument("--images", type=count, default=100, help="number of test images")
    parser.add_argument(
        "--skip",
        type=count,
        default=1,
        help="of the test images of a run, take 0, skip, 2*skip, ...",
    )
    parser.add_argument("--n", type=count, default=100_000)
    parser.add_argument("--alpha", type=probability, default=1e-3)
    parser.add_argument(
        "--step", type=amount, default=0.25, help="step of the radius grid, in [0,1] pixel units"
    )
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--out", type=user_path, help="file stem for the figures (.json and .md)")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
