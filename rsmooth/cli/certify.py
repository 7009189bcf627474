"""``rsmooth certify``: a trained or published model to a record of certificates."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rsmooth.certify.settings import EARLIER_WORDS, CertifySettings
from rsmooth.cli.options import DataOptions, ModelOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.folder import CERTIFICATES
from rsmooth.config.images import image_shape


@VERBS.register("certify", positionals=("source",), resumes=True)
def certify(
    *,
    model: ModelOptions,
    data: DataOptions,
    images: Sequence[int] | None = None,
    settings: CertifySettings,
    workers: int | None = None,
    extends: Path | None = None,
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Certify images with a journal that survives any interruption; the same command goes on where
    it stopped.

    Args:
        images: certify just the images of these indices
        workers: one-thread worker processes on a CPU
        extends: an earlier record of mode fixed, to which these samples, of another seed, will be
            added (rsmooth restate --append). Its numerics are taken over; what could not be added
            is refused before the first vote
        out: the journal to write; default: certificates.jsonl in the run folder
        progress: show a progress bar
    """
    from rsmooth.certify.run.dataset import certify_dataset
    from rsmooth.plumbing.tensors import check_labels
    from rsmooth.records.files import read_log
    from rsmooth.records.metrics import average_certified_radius, certified_accuracy

    model, settings = _in_new_words(model, settings)
    chosen = data.choose(model.source, images)
    g = model.load(image_shape(chosen))
    check_labels(chosen.labels, len(chosen), g.num_classes)
    journal = _journal(model.source, out)
    earlier = None if extends is None else read_log(extends)
    log = certify_dataset(
        g, chosen, journal, settings, workers=workers, progress=progress, extends=earlier
    )
    if len(log) < len(chosen):  # a rank under torchrun; the last to finish speaks for all
        return
    clean = 100 * certified_accuracy(log, [0.0])[0]
    print(
        f"{len(log.idx)} images certified in {log.time.sum():.1f} s: accuracy {clean:.1f} % at "
        f"radius 0, average certified radius {average_certified_radius(log):.4f}; see rsmooth "
        f"report {journal}"
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
        f"--noise {name} is now called --arithmetic {arithmetic}; the next release accepts that "
        "word alone",
        FutureWarning,
        stacklevel=2,
    )
    return replace(model, noise=None), replace(settings, arithmetic=arithmetic)


def _journal(source: Path | None, out: Path | None) -> Path:
    if out is not None and out.suffix != ".jsonl":
        raise ValueError(f"expected the journal as a file that ends in .jsonl, got {out}")
    if out is not None:
        return out
    if source is None or not source.is_dir():
        raise ValueError(
            f"expected --out FILE.jsonl, since {source or 'a checkpoint'} is no run folder to "
            "write to"
        )
    return source / CERTIFICATES
