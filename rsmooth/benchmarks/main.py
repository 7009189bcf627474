"""The commands of the harness: ``python -m benchmarks run | ablate | report | ...``.

Further ones measure: train-speed, certify-speed, attack-speed, int8-speed, start-up,
certify-samples, sample-cap, noise-cost, bound-cost, method-cost. ``defence-table`` makes the table
of methods in docs/, ``ship`` a model for the package, and ``leaderboard`` a page of all results.
Nothing here imports foolbox or jsonargparse, so the harness runs on machines without them.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.benchmarks.ablations import ablation, ablation_names
from rsmooth.benchmarks.launchers import LAUNCHERS, make_launcher
from rsmooth.benchmarks.place import PROGRAM
from rsmooth.benchmarks.presets import load_preset, preset_names, select_arms
from rsmooth.cli.argv import spelt
from rsmooth.plumbing import exits
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.processes import terminations_interrupt
from rsmooth.plumbing.values import pixel_values
from rsmooth.plumbing.yaml_text import load_yaml

if TYPE_CHECKING:
    from rsmooth.benchmarks.runner import Outcome

# Each is a module of that name with a ``main``.
MEASUREMENTS = {
    "train-speed": "images per second in training, ours and a plain loop",
    "certify-speed": "samples per second in certification, ours and the plain loop",
    "certify-samples": "samples that each mode of certification needs",
    "sample-cap": "what fewer samples cost in certified radius, from published logs",
    "ship": "a model for the package: weights in half precision, and its card",
    "attack-speed": "images per second of attacks, by precision",
    "int8-speed": "samples per second in 8-bit integers, relative to bfloat16; both accuracies",
    "start-up": "seconds and memory of commands before they do anything",
    "bound-cost": "time of bounds in training, relative to a plain step",
    "noise-cost": "time of exact noise, relative to a forward pass",
    "method-cost": "time of an epoch of each training method, relative to Gaussian training",
    "defence-table": "the table of methods in docs/compare-defences.md, from committed records",
    "leaderboard": "our results, published logs and tables on one HTML page",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command of the harness, and return the exit status.

        main(["run", "digits", "--jobs", "2"])

    0: all went well; 2: an error; 3: an arm failed; 130: stopped. Each measurement has options of
    its own: ``python -m benchmarks train-speed --help``.
    """
    arguments = [spelt(token) for token in (sys.argv[1:] if argv is None else argv)]
    if arguments and arguments[0] in MEASUREMENTS:
        measure = importlib.import_module(_module(arguments[0])).main
        work, name = partial(measure, arguments[1:]), f"benchmarks {arguments[0]}"
    else:
        work, name = partial(_command, _parser().parse_args(arguments)), "benchmarks"
    with terminations_interrupt():  # so that the arms of a runner that a scheduler stops save
        return exits.run(work, name)


def _module(command: str) -> str:
    return f"rsmooth.benchmarks.{command.replace('-', '_')}"


def _command(options: argparse.Namespace) -> int:
    try:
        return _report(options) if options.command == "report" else _run(options)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("stopped; the same command continues from here") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="The comparison harness of rsmooth.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", allow_abbrev=False, help="train, certify and compare the arms of a preset"
    )
    run.add_argument("preset", help=f"{', '.join(preset_names())}, or a YAML file")
    run.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        metavar="SEED",
        help="train each arm from each of these, as ARM-seed1, in place of the preset's seeds",
    )
    _add_run_options(run)
    ablate = commands.add_parser(
        "ablate", allow_abbrev=False, help="vary one thing about a preset's SmoothAdv arm"
    )
    ablate.add_argument("what", help=f"{', '.join(ablation_names())}, or a YAML file")
    ablate.add_argument("--base", default="digits", help="the preset to vary (default: digits)")
    _add_run_options(ablate)
    report = commands.add_parser(
        "report", allow_abbrev=False, help="print runs beside the published tables"
    )
    report.add_argument(
        "folders", nargs="+", type=user_path, help="run folders, folders of runs, or published logs"
    )
    report.add_argument(
        "--radii",
        type=float,
        nargs="+",
        help="radii of the tables (default: those of the preset of a single folder, or chosen from "
        "the data)",
    )
    report.add_argument("--linf", nargs="+", help="linf radii of a further table, e.g. 2/255")
    report.add_argument(
        "--dimension", type=int, help="values per image, for --linf and logs that do not record it"
    )
    report.add_argument(
        "--title", help="of the document (default: that of the preset of a single folder)"
    )
    report.add_argument(
        "--common",
        action="store_true",
        default=None,
        help="compare on the images that every record has",
    )
    report.add_argument(
        "--out", type=user_path, help="folder for report.md, report.csv and curves.png"
    )
    report.add_argument(
        "--html", type=user_path, help="file for a page of the runs, without network"
    )
    report.add_argument(
        "--reference", help="published tables for comparison: cifar10, imagenet or none"
    )
    for name, text in MEASUREMENTS.items():
        commands.add_parser(name, help=text, add_help=False)
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=user_path, help="folder of the runs (default: runs/NAME)")
    parser.add_argument("--jobs", type=int, help="arms at a time (default: the preset's)")
    parser.add_argument("--threads", type=int, help="of each arm (default: the preset's)")
    parser.add_argument("--only", nargs="+", metavar="ARM", help="only these arms")
    parser.add_argument(
        "--max_seconds",
        type=float,
        help="stop at a checkpoint after this time; run again to continue",
    )
    parser.add_argument(
        "--data", type=user_path, help="the preset's data, in place of its environment variable"
    )
    parser.add_argument(
        "--launcher",
        choices=list(LAUNCHERS),
        default="local",
        help="where the arms run: here, on a Ray cluster, or on Slurm by submitit",
    )
    parser.add_argument(
        "--launch",
        nargs="+",
        metavar="KEY=VALUE",
        default=[],
        help="options of that launcher, e.g. address=auto num_gpus=1, or slurm_partition=gpu",
    )
    parser.add_argument("--device", help="cpu, cuda or auto (default: auto)")
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="sizes that take seconds, to see whether everything runs",
    )


def _run(options: argparse.Namespace) -> int:
    from rsmooth.benchmarks.report import report_folders
    from rsmooth.benchmarks.runner import is_finished, run
    from rsmooth.report.looks import needed_for_figures

    needed_for_figures()  # before any work
    _check_numbers(options)
    preset = _preset(options)
    out = options.out or Path("runs") / (preset.name + ("-tiny" if options.tiny else ""))
    launcher = make_launcher(options.launcher, _launch_options(options, out))
    try:
        outcome = run(
            preset, out, jobs=options.jobs, max_seconds=options.max_seconds, launcher=launcher
        )
    finally:
        launcher.close()
    _say_unfinished(outcome)
    shown = [arm.name for arm in preset.arms if arm.certify is not None]
    if any(is_finished(out / name) for name in shown):
        print(report_folders([out], out=out, brief=True))
    return 3 if outcome.failed else 130 if outcome.stopped else 0


def _check_numbers(options: argparse.Namespace) -> None:
    for name, number in (("jobs", options.jobs), ("threads", options.threads)):
        if number is not None and number < 1:
            raise ValueError(f"expected --{name} >= 1, got {number}; leave it out for the preset's")
    if options.max_seconds is not None and not 0 < options.max_seconds < math.inf:
        raise ValueError(
            f"expected --max_seconds > 0, got {options.max_seconds:g}; leave it out for no limit"
        )


def _say_unfinished(outcome: Outcome) -> None:
    for name, output in outcome.failed.items():
        print(f"{name} failed: {output}", file=sys.stderr)
    if outcome.stopped:
        print(
            f"stopped before the end of {', '.join(outcome.stopped)}; the same command continues",
            file=sys.stderr,
        )


def _launch_options(options: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The options of the launcher, as YAML reads their values."""
    given: dict[str, Any] = {}
    for token in options.launch:
        key, equals, value = token.partition("=")
        if not equals or not key.isidentifier():
            raise ValueError(f"expected --launch KEY=VALUE, got {token!r}; e.g. address=auto")
        given[key] = load_yaml(value)
    return {"folder": out / "submitit", **given} if options.launcher == "submitit" else given


def _preset(options: argparse.Namespace) -> Any:
    changes = {}
    if options.device:
        changes = {"train": {"device": options.device}, "certify": {"device": options.device}}
    preset = load_preset(
        options.base if options.command == "ablate" else options.preset,
        tiny=options.tiny,
        changes=changes,
        seeds=None if options.command == "ablate" else options.seeds,
    )
    if options.command == "ablate":
        preset = ablation(preset, options.what)
    if options.data is not None:
        if preset.data is None:
            raise ValueError(
                f"expected --data with a preset that reads files, got it with "
                f"{preset.name}; leave it out"
            )
        os.environ[preset.data] = str(options.data.resolve())
    preset = select_arms(preset, options.only)
    return preset if options.threads is None else replace(preset, threads=options.threads)


def _report(options: argparse.Namespace) -> int:
    from rsmooth.benchmarks.report import report_folders

    asked = {
        "title": options.title,
        "radii": options.radii,
        "reference": options.reference,
        "linf": None if options.linf is None else pixel_values(options.linf),
        "dimension": options.dimension,
        "common": options.common,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    print(report_folders(options.folders, out=options.out, html=options.html, **given))
    return 0


if __name__ == "__main__":
    sys.exit(main())
