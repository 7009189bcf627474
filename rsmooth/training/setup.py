"""Setting up a training run: data, processes, precision, and the state that it goes on from."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import Any

import torch

from rsmooth.data.convert import as_image_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.plumbing.locking import PATIENCE_SECONDS, FileLock
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import guards
from rsmooth.training.checkpoint import Interruption, RunFolder
from rsmooth.training.distributed import Ranks, joined, local_device
from rsmooth.training.draws import Draws
from rsmooth.training.loop import Callback, History, Run
from rsmooth.training.precision import Precision, resolve_precision
from rsmooth.training.recipe import Recipe, TrainingData, describe
from rsmooth.training.sources import PseudoLabels, as_source
from rsmooth.training.steps import memory_format

PROBE_IMAGES = 64


def train(
    trainer: Recipe,
    g: SmoothedClassifier,
    train_data: TrainingData,
    *,
    validation: TrainingData | None,
    unlabelled: PseudoLabels | None,
    run_dir: str | PathLike[str] | None,
    resume: bool,
    progress: bool,
    callback: Callback | None,
) -> History:
    """What ``Trainer.fit`` does; see there."""
    if trainer.tensorboard and run_dir is None:
        raise ValueError(
            "expected a run_dir for tensorboard=True, got none; the events are written into it"
        )
    device = local_device(next(g.parameters()).device)
    g.to(device)
    guards.remark(trainer, g.sigma)
    data = _as_data(train_data, g)
    held_out = None if validation is None else _as_data(validation, g)
    sources = [
        as_source(
            data,
            Draws(trainer.seed),
            device=device,
            augment=trainer.augment,
            workers=trainer.workers,
        )
    ]
    config = {
        **describe(trainer),
        "sigma": g.sigma,
        "classes": g.num_classes,
        "data": _fingerprint(data),
        "parameters": sum(parameter.numel() for parameter in g.parameters()),
        "validation": None if held_out is None else _fingerprint(held_out),
    }
    if unlabelled is not None:
        sources.append(unlabelled.source(trainer, device))
        config["unlabelled"] = unlabelled.fingerprint()
    folder = None if run_dir is None else _folder(run_dir, config, g)
    random_state = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with (
        random_state,
        joined(device) as ranks,
        _only_writer(folder, ranks),
        Interruption(folder is not None) as interruption,
    ):
        torch.manual_seed(trainer.seed)  # for dropout and the like; all draws of our own are keyed
        if folder is not None and ranks.first:
            folder.tidy()
        saved = folder.load() if folder is not None and resume else None
        precision = saved["precision"] if saved else _precision(trainer, g, data, ranks, device)
        with memory_format(g.base, trainer.channels_last):
            run = Run(
                trainer,
                g,
                sources,
                held_out,
                folder,
                ranks,
                precision,
                interruption,
                callback,
                device,
            )
            if folder is not None and saved:
                _restore(run, saved, folder)
            run.go(progress and ranks.first)
    return run.history


def _as_data(data: TrainingData, g: SmoothedClassifier) -> ImageData | FolderData:
    images = (
        data if isinstance(data, (ImageData, FolderData)) else as_image_data(data, g.num_classes)
    )
    if images.num_classes != g.num_classes or not len(images):
        raise ValueError(
            f"expected images of the classifier's {g.num_classes} classes, got {len(images)} of "
            f"{images.num_classes} classes; check num_classes of the SmoothedClassifier"
        )
    return images


def _fingerprint(data: ImageData | FolderData) -> str:
    """What names the images in a run's configuration; of files that are too many to read, their
    names and sizes.
    """
    return data.listing() if isinstance(data, FolderData) else data.fingerprint()


def _folder(
    run_dir: str | PathLike[str], config: dict[str, Any], g: SmoothedClassifier
) -> RunFolder:
    """The run's folder; ValueError at once where the model could not be saved at the end."""
    if getattr(g.base, "architecture", None) is None:
        raise ValueError(
            f"expected a base classifier from MODELS.create to keep in {run_dir}, got "
            f"{type(g.base).__name__}; register its constructor with @MODELS.register('name'), or "
            "leave "
            "run_dir out"
        )
    return RunFolder(run_dir, {**config, "architecture": repr(g.base.architecture)})


def _restore(run: Run, state: dict[str, Any], folder: RunFolder) -> None:
    """Let the run go on from a checkpoint; RecordError, naming the file, if that is not whole."""
    try:
        run.restore(state)
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise folder.unusable(f"one that does not fit ({type(error).__name__}: {error})") from error


def _only_writer(folder: RunFolder | None, ranks: Ranks) -> AbstractContextManager[object]:
    """Within it no other run writes into the folder; the processes of one run count as one."""
    if folder is None or not ranks.first:
        return nullcontext()
    return FileLock(folder.checkpoint, patience=PATIENCE_SECONDS)


def _precision(
    trainer: Recipe,
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    ranks: Ranks,
    device: torch.device,
) -> Precision:
    """The first process' choice, timed on a few images."""
    images, _ = data.batch(torch.arange(min(len(data), PROBE_IMAGES)))
    chosen = resolve_precision(trainer.precision, g.base, to_unit(images.to(device)))
    return "bfloat16" if ranks.agree(float(chosen == "bfloat16"), device) else "float32"
