"""``rsmooth certify``: a trained or published model to a record of certificates."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.certify.settings import EARLIER_WORDS, CertifySettings
from rsmooth.cli.options import DataOptions, LinfOptions, ModelOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.folder import CERTIFICATES
from rsmooth.config.images import image_shape

if TYPE_CHECKING:
    from rsmooth.records.log import CertificationLog


@VERBS.register("certify", positionals=("source",), resumes=True)
def certify(
    *,
    model: ModelOptions,
    data: DataOptions,
    images: Sequence[int] | None = None,
    settings: CertifySettings,
    linf: LinfOptions,
    workers: int | None = None,
    extends: Path | None = None,
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Certify images, into a journal that survives any interruption.

    The same command continues where it stopped.

    Args:
        images: certify only the images with these indices
        workers: worker processes on a CPU, of one thread each; default: one per core where votes
            take long, else one
        extends: an earlier record of mode fixed, whose images get further samples of another seed;
            rsmooth restate --append adds them up. The numerics are those of the earlier record.
            Samples that could not be added are refused before the first vote
        out: the journal to write; default: certificates.jsonl in the run folder
        progress: show a progress bar
    """
    from rsmooth.certify.run.dataset import certify_dataset
    from rsmooth.cli.models import check_classes
    from rsmooth.cli.proofs import prove
    from rsmooth.plumbing.tensors import check_labels
    from rsmooth.records.files import read_log

    model, settings = _in_new_words(model, settings)
    deterministic = linf.asked()
    if deterministic:
        _check_no_votes(settings, extends)
    chosen = data.choose(model.source, images)
    g = model.load(image_shape(chosen))
    check_classes(g, chosen)
    check_labels(chosen.labels, len(chosen), g.num_classes)
    journal = _journal(model.source, out)
    if deterministic:
        members = [g, *model.others(linf.ensemble or (), image_shape(chosen))]
        prove(members, chosen, journal, linf, workers=workers, progress=progress)
        return
    if g.noise.scale_value == 0:
        raise ValueError(
            f"expected --norm linf and --epsilons for a classifier without noise, got {g.noise}; "
            "votes under noise prove nothing of it: add e.g. --norm linf --epsilons 1/255,2/255"
        )
    earlier = None if extends is None else read_log(extends)
    log = certify_dataset(
        g, chosen, journal, settings, workers=workers, progress=progress, extends=earlier
    )
    if len(log) < len(chosen):  # a rank under torchrun; only the last to finish prints
        return
    print(
        f"{len(log.idx)} images certified ({log.time.sum():.1f} s summed over them, "
        f"{_numerics(log)}): {_findings(log)}; see rsmooth report {shlex.quote(str(journal))}"
    )


def _numerics(log: CertificationLog) -> str:
    """How the network was executed, as the record says it."""
    known = log.provenance.get("numerics", {})
    compiled = "" if known.get("compiled", "no") == "no" else f", compiled ({known['compiled']})"
    return f"{known.get('dtype', 'unknown precision')}{compiled}"


def _findings(log: CertificationLog) -> str:
    """The figures of a run: of modes radius and grid, only at the radii that were asked for."""
    from rsmooth.records.metrics import average_certified_radius, certified_accuracy
    from rsmooth.report.runs import Run

    norm, asked = log.statement.norm, Run("", log).asked
    if asked is None:
        clean = 100 * certified_accuracy(log, [0.0])[0]
        return (
            f"accuracy {clean:.1f} % at radius 0, average certified {norm} radius "
            f"{average_certified_radius(log):.4f}"
        )
    shares = certified_accuracy(log, asked)
    found = (f"{100 * share:.1f} % at {r:.4g}" for r, share in zip(asked, shares, strict=True))
    return f"right and certified at {norm} radius: {', '.join(found)}"


def _check_no_votes(settings: CertifySettings, extends: Path | None) -> None:
    """ValueError for options of votes beside --norm linf, where they would have no effect."""
    given = [
        each.name
        for each in fields(settings)
        if getattr(settings, each.name) != each.default and each.name != "device"
    ]
    given += [] if extends is None else ["extends"]
    if given:
        raise ValueError(
            f"expected no --{' and no --'.join(given)} beside --norm linf, whose certificates need "
            "no noise; leave it out"
        )


def _in_new_words(
    model: ModelOptions, settings: CertifySettings
) -> tuple[ModelOptions, CertifySettings]:
    """``--noise grid`` and ``--noise float`` of earlier versions as the arithmetic of the noise."""
    spec = model.noise
    name = spec.get("name") if isinstance(spec, dict) else spec
    if name not in EARLIER_WORDS:
        return model, settings
    arithmetic = EARLIER_WORDS[name]
    warnings.warn(
        f"--noise {name} is now called --arithmetic {arithmetic}; the next release accepts only "
        "that word",
        FutureWarning,
        stacklevel=2,
    )
    return replace(model, noise=None), replace(settings, arithmetic=arithmetic)


def _journal(source: Path | None, out: Path | None) -> Path:
    if out is not None and out.suffix != ".jsonl":
        raise ValueError(f"expected a journal that ends in .jsonl, got {out}; rename it")
    if out is not None:
        return out
    if source is None or not source.is_dir():
        raise ValueError(
            f"expected a run folder to write to, got {source or 'a model of others'}; add --out "
            "FILE.jsonl"
        )
    return source / CERTIFICATES
