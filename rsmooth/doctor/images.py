"""The report on a data set in one .npz file."""

from __future__ import annotations

import shlex
from pathlib import Path

import torch

from rsmooth.data.arrays import npz
from rsmooth.data.images import ImageData
from rsmooth.doctor.findings import Report, listed


def examine_images(path: Path) -> Report:
    """The report on an .npz file of images and labels: splits, shapes, classes, oddities.

        examine_images(Path("cifar10.npz")).facts["splits"]

    What ``--dataset npz`` refuses is a finding, with its reason.
    """
    report = Report(str(path), "a data set in one .npz file")
    try:
        splits = npz(path)
    except ValueError as error:
        report.add("wrong", "arrays", str(error), readable=False)
        return report
    found = {name: getattr(splits, name) for name in ("train", "test")}
    found = {name: each for name, each in found.items() if each is not None}
    shape = splits.image_shape
    report.add(
        "ok",
        "images",
        f"{' and '.join(f'{len(each):,} {name}' for name, each in found.items())} of {shape[0]} "
        f"channels, {shape[1]}x{shape[2]}, {splits.num_classes} classes",
        readable=True,
        splits={name: len(each) for name, each in found.items()},
        image_shape=list(shape),
        classes=splits.num_classes,
    )
    for name, each in found.items():
        _oddities(report, name, each, splits.num_classes)
    where = f"--dataset npz --dataset.path {shlex.quote(str(path))}"
    report.add("ok", "use", f"in every verb as {where}")
    if "train" in found:
        report.commands.append(f"rsmooth train runs/new --sigma 0.25 {where}")
    return report


def _oddities(report: Report, name: str, split: ImageData, num_classes: int) -> None:
    counts = torch.bincount(split.labels, minlength=num_classes)
    empty = [int(at) for at in torch.nonzero(counts == 0).flatten()]
    if empty:
        report.add("look", name, f"no images of classes {listed(empty)}")
    pixels = split.images.flatten(1)
    same = int((pixels == pixels[:, :1]).all(dim=1).sum())
    if same:
        report.add("look", name, f"{same:,} images are of one colour")
