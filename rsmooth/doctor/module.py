"""The report on a module in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from rsmooth.doctor.findings import Report, listed
from rsmooth.doctor.sample import candidates, sample
from rsmooth.doctor.verdict import judge
from rsmooth.doctor.weights import suspicions
from rsmooth.models.state import frozen

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData

AS_IT_IS = "as it is"


def examine_module(
    base: nn.Module, images: ImageData | FolderData, num_classes: int | None
) -> Report:
    """The report on a module; see ``examine_model``."""
    report = Report(type(base).__name__, "a module")
    report.findings += suspicions(base.state_dict())
    if not _layers(report, base):
        return report
    chosen = sample(images)
    layers = {AS_IT_IS: nn.Identity(), **candidates(chosen.x)}
    layers.pop("none")
    with frozen(base):
        judge(
            report,
            base,
            layers,
            chosen,
            num_classes or chosen.num_classes,
            usual=AS_IT_IS,
            stored=AS_IT_IS,
        )
    return report


def _layers(report: Report, base: nn.Module) -> bool:
    """Whether it answers each image on its own; a word on layers that differ in training."""
    dropping = [
        n for n, each in base.named_modules() if isinstance(each, nn.modules.dropout._DropoutNd)
    ]
    if dropping:
        report.add(
            "look",
            "dropout",
            f"{len(dropping)} layers ({listed(dropping, 4)}), off in eval mode; certificates are "
            "of that network",
            dropout=dropping,
        )
    without = [
        name
        for name, each in base.named_modules()
        if isinstance(each, nn.modules.batchnorm._BatchNorm) and each.running_mean is None
    ]
    if without:
        report.add(
            "wrong",
            "batch norm",
            f"{len(without)} layers without running statistics ({listed(without, 4)}): the answer "
            "to an image depends on the others of a batch, and is not certified",
            without_statistics=without,
        )
    return not without
