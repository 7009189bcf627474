"""``rsmooth doctor``: what somebody's file is, what is suspicious, and how to go on."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from rsmooth.cli.models import output_file
from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import Spec, split_spec
from rsmooth.plumbing.files import replace_file


@VERBS.register("doctor", positionals=("file",))
def doctor(
    file: Path,
    dataset: Spec | None = None,
    split: str = "test",
    entry: str | None = None,
    convert: Path | None = None,
    sigma: float | None = None,
    unit: str | None = None,
    json: Path | None = None,
) -> None:
    """Say what a file is, what is suspicious about it, and the command that goes on.

    It knows checkpoints of any layout, certification logs, run folders and data files. With
    labelled images it also tries which normalisation and noise a network is for. Nothing in a file
    is run.

    Args:
        file: a checkpoint, a log, a journal, a run folder, a model, options or an .npz of images
        dataset: labelled images of the data set of a network, such as cifar10 or npz with
            --dataset.path FILE; default: the embedded digits, where they fit
        split: test, validation or train
        entry: the network that is meant, where a file holds several
        convert: a new file for that network as a plain checkpoint, which rsmooth certify opens
        sigma: of the noise behind a log, where neither the log nor its path says it
        unit: what the radii of a log are measured in, where it does not say
        json: a file for the report as JSON, for machines
    """
    from rsmooth.config.images import load_split
    from rsmooth.doctor.examining import examine

    beside = output_file(json)
    report = examine(
        file,
        None if dataset is None else load_split(dataset, split),
        options="" if dataset is None else named(dataset, split),
        entry=entry,
        out=output_file(convert),
        sigma=sigma,
        unit=unit,
    )
    print(report.text())
    if beside is not None:
        replace_file(beside, _dumped(report.record()).encode())


def named(dataset: Spec, split: str = "test") -> str:
    """The options that name a data set on a command line.

    named({"name": "npz", "path": "cifar10.npz"})       # "--dataset npz --dataset.path cifar10.npz"
    """
    name, options = split_spec(dataset, "data set")
    words = ["--dataset", name]
    for key, value in options.items():
        words += [f"--dataset.{key}", shlex.quote(str(value))]
    words += [] if split == "test" else ["--split", split]
    return " ".join(words)


def _dumped(record: dict[str, object]) -> str:
    return json.dumps(record, indent=2, allow_nan=False) + "\n"
