"""``rsmooth certify``: a trained or published model to a record of certificates."""

from pathlib import Path
from typing import Any

from rsmooth.cli.images import choose_images, image_shape
from rsmooth.cli.runs import CERTIFICATES, load_model
from rsmooth.cli.values import Numbers, PixelValue, PixelValues, Spec


def certify(
    source: Path | None = None,
    dataset: Spec | None = None,
    split: str = "test",
    skip: int = 1,
    max: int | None = None,
    images: Numbers | None = None,
    n: int = 100_000,
    n0: int = 100,
    alpha: float = 0.001,
    mode: str = "fixed",
    radius: PixelValue | None = None,
    radii: PixelValues | None = None,
    tolerance: PixelValue | None = None,
    target: str = "predict",
    seed: int = 0,
    noise: str = "grid",
    precision: str = "auto",
    compile: str = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    device: str = "auto",
    weights: str = "last",
    checkpoint: Path | None = None,
    normalize: str | None = None,
    sigma: PixelValue | None = None,
    extends: Path | None = None,
    out: Path | None = None,
    progress: bool = True,
) -> None:
    """Certify images with a journal that survives any interruption; the same command goes on where
    it stopped.

    Args:
        source: a run folder, or a model file of ours
        dataset: what to certify on; default: what the run was trained on
        split: test, validation or train
        skip: certify images 0, skip, 2*skip, ... (20 for CIFAR-10 and 100 for ImageNet are
            customary)
        max: certify at most this many of them
        images: certify just the images of these indices
        n: noise samples an image for the estimate; in the sequential modes the most an image may
            take
        n0: noise samples an image for choosing the class
        alpha: failure probability an image
        mode: fixed (the published procedure), radius, grid or anytime
        radius: the radius to decide in mode radius
        radii: the radii to decide in mode grid
        tolerance: how much radius mode anytime may give away
        target: predict (choose the class from n0 samples) or label (test the true label)
        seed: seed of the noise; choose it before you see any result, and do not keep the best of
            several
        noise: grid (exact, on the 8-bit grid) or float (as published)
        precision: auto, float32, bfloat16 or float16
        compile: whether to compile the network: auto, always or never
        batch_size: noisy images a forward pass
        workers: one-thread worker processes on a CPU
        device: cpu, cuda, or auto
        weights: last or best weights of the run folder
        checkpoint: a published checkpoint.pth.tar in place of a run folder
        normalize: its normalisation: cifar10, cifar10-center, imagenet, imagenet-center or none
        sigma: the sigma to smooth the published checkpoint with
        extends: an earlier record of mode fixed that these samples, of another seed, shall be added
            to (rsmooth restate --append): its numerics are taken over, and what could not be added
            is refused before the first vote
        out: the journal to write; default: certificates.jsonl in the run folder
        progress: show a progress bar
    """
    from rsmooth.certify.run.dataset import certify_dataset
    from rsmooth.certify.settings import CertifySettings
    from rsmooth.plumbing.tensors import check_labels
    from rsmooth.records.files import read_log
    from rsmooth.records.metrics import average_certified_radius, certified_accuracy

    data = choose_images(dataset, source, split=split, skip=skip, limit=max, only=images)
    g = load_model(
        source,
        weights=weights,
        checkpoint=checkpoint,
        normalize=normalize,
        sigma=sigma,
        device=device,
        shape=image_shape(data),
    )
    check_labels(data.labels, len(data), g.num_classes)
    journal = _journal(source, out)
    options: dict[str, Any] = {  # the settings check the names among them
        "n0": n0,
        "n": n,
        "alpha": alpha,
        "mode": mode,
        "radius": radius,
        "radii": radii,
        "tolerance": tolerance,
        "target": target,
        "seed": seed,
        "arithmetic": {"grid": "integer"}.get(noise, noise),
        "precision": precision,
        "compile": compile,
        "batch_size": batch_size,
    }
    log = certify_dataset(
        g,
        data,
        journal,
        CertifySettings(**options),
        workers=workers,
        progress=progress,
        extends=None if extends is None else read_log(extends),
    )
    if len(log) < len(
        data
    ):  # a rank under torchrun that is done with its share; the last to finish speaks for all
        return
    clean = 100 * certified_accuracy(log, [0.0])[0]
    print(
        f"{len(log.idx)} images certified in {log.time.sum():.1f} s: accuracy {clean:.1f} % at "
        "radius 0, average "
        f"certified radius {average_certified_radius(log):.4f}; see rsmooth report {journal}"
    )


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
