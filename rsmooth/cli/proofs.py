"""Deterministic certificates, for ``rsmooth certify --norm linf``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.cli.options import LinfOptions
from rsmooth.config.images import image_shape

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.records.log import CertificationLog
    from rsmooth.smoothed import SmoothedClassifier


def prove(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    journal: Path,
    options: LinfOptions,
    *,
    workers: int | None,
    progress: bool,
) -> None:
    """Prove certificates into the journal, and print what share of the images has them."""
    from rsmooth.certify.bound_settings import BoundSettings
    from rsmooth.certify.deterministic import BoundEngine
    from rsmooth.certify.run.header import model_section
    from rsmooth.certify.run.proofs import prove_dataset

    assert options.epsilons is not None
    settings = BoundSettings(epsilons=options.epsilons, bounds=options.bounds, clip=options.clip)
    log = prove_dataset(
        BoundEngine(g, settings, image_shape(data)),
        data,
        journal,
        model=model_section(g),
        workers=workers,
        progress=progress,
    )
    if len(log) == len(data):  # else a rank under torchrun; only the last to finish prints
        print(summary(log, settings.epsilons, journal))


def summary(log: CertificationLog, epsilons: Sequence[float], journal: Path) -> str:
    """One line on the certificates of a record."""
    from rsmooth.records.metrics import certified_accuracy
    from rsmooth.report.tables import radius_name

    clean, *certified = 100 * certified_accuracy(log, [0.0, *epsilons])
    shown = ", ".join(
        f"{share:.1f} % at {radius_name(epsilon, 'linf')}"
        for epsilon, share in zip(epsilons, certified, strict=True)
    )
    return (
        f"{len(log)} images certified ({log.time.sum():.1f} s summed over them): accuracy "
        f"{clean:.1f} %, certified {shown}, by {log.statement.method}; see rsmooth report {journal}"
    )
