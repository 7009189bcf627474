"""Setting up a training run: data, processes, precision, and the state that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from os import PathLike
from typing import Any, TypeVar

import torch
from torch import Tensor

from rsmooth.data.convert import as_image_data, as_training_data, to_unit
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.data.items import AnyData
from rsmooth.models.precision import Precision, resolve_precision
from rsmooth.models.saved import architecture_of
from rsmooth.plumbing.locking import PATIENCE_SECONDS
from rsmooth.plumbing.parallel import local_device
from rsmooth.smoothed import SmoothedClassifier, check_smoothed
from rsmooth.training import guards
from rsmooth.training.checkpoint import Interruption, RunFolder
from rsmooth.training.described import describe_run, described_defaults
from rsmooth.training.distributed import Ranks, joined
from rsmooth.training.draws import Draws
from rsmooth.training.extras import all_extras, check_extras
from rsmooth.training.loop import Callback, Job, OnEpoch, Run
from rsmooth.training.metrics import History
from rsmooth.training.parts import only_training
from rsmooth.training.recipe import Recipe, TrainingData
from rsmooth.training.singles import check_singles
from rsmooth.training.sources import PseudoLabels, Source, as_source
from rsmooth.training.steps import memory_format

PROBE_IMAGES = 64
SEEN_IMAGES = 4

Images = TypeVar("Images", bound=AnyData)


@dataclass(frozen=True)
class Wanted:
    """What ``Trainer.fit`` was asked for, beside the recipe and the classifier; see there."""

    train_data: TrainingData
    validation: TrainingData | None = None
    unlabelled: PseudoLabels | None = None
    extras: Mapping[str, Tensor] | None = None
    run_dir: str | PathLike[str] | None = None
    resume: bool = True
    progress: bool = True
    callback: Callback | None = None
    on_epoch: OnEpoch | None = None


@torch.inference_mode(False)  # which also turns gradients on
def train(recipe: Recipe, g: SmoothedClassifier, wanted: Wanted) -> History:
    """What ``Trainer.fit`` does."""
    device = local_device(_device(g))
    g.to(device)
    _check(recipe, wanted)
    recipe.check_noise(g.noise)
    recipe.check_base(g.base)
    guards.remark(recipe, g.noise)
    data = _training_data(wanted.train_data, g)
    held_out = None if wanted.validation is None else _held_out(wanted.validation, g)
    _check_together(data, held_out, wanted.unlabelled)
    check_extras(wanted.extras, len(data))
    guards.remark_on_unused(
        recipe,
        unlabelled=wanted.unlabelled is not None,
        files=isinstance(data, FolderData),
        extras=wanted.extras or (),
    )
    random_state = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    # The record names the precision, which the caller's autocast would not be.
    own_precision = torch.autocast(device.type, enabled=False)
    with random_state, own_precision, joined(device) as ranks:
        columns = all_extras(
            recipe, g, data, wanted.extras or {}, wanted.run_dir, ranks, wanted.progress
        )
        folder = _folder(wanted, recipe, g, data, held_out, columns)
        return _train(recipe, g, wanted, data, held_out, columns, folder, ranks)


def _train(
    recipe: Recipe,
    g: SmoothedClassifier,
    wanted: Wanted,
    data: AnyData,
    held_out: ImageData | FolderData | None,
    columns: Mapping[str, Tensor],
    folder: RunFolder | None,
    ranks: Ranks,
) -> History:
    """The run itself, once everything is checked and every column is there."""
    device = _device(g)
    extras = {name: column.to(device) for name, column in columns.items()}
    with _only_writer(folder, ranks), Interruption(folder is not None) as interruption:
        # For dropout and the like; all draws of our own are keyed.
        torch.manual_seed(recipe.seed)
        if folder is not None and ranks.first:
            folder.tidy()
        saved = folder.load() if folder is not None and wanted.resume else None
        share = None if wanted.unlabelled is None else recipe.unlabelled_share
        check_singles(recipe, g, len(data), tuple(data.batch([0])[0].shape[1:]), ranks.size, share)
        precision = saved["precision"] if saved else _precision(recipe, g, data, ranks, device)
        sources = _sources(recipe, data, wanted.unlabelled, device)
        job = Job(
            recipe,
            g,
            data,
            sources,
            extras,
            held_out,
            folder,
            ranks,
            precision,
            interruption,
            wanted.callback,
            wanted.on_epoch,
            device,
        )
        parameters = recipe.trained_parameters(g.base)
        with memory_format(g.base, recipe.channels_last), only_training(g.base, parameters):
            return _carry_out(job, saved, wanted.progress and ranks.first)


def _device(g: SmoothedClassifier) -> torch.device:
    """Where the classifier is; an error for what is none, and for one that cannot train."""
    check_smoothed(g)
    parameter = next(g.parameters(), None)
    if parameter is None:
        raise ValueError(
            f"expected a base classifier with parameters to train, got {type(g.base).__name__}"
        )
    if parameter.is_inference():
        raise ValueError(
            "expected a base classifier that was made outside of torch.inference_mode(), got one "
            "whose parameters cannot have gradients; make or load it before that"
        )
    return parameter.device


def _carry_out(job: Job, saved: dict[str, Any] | None, show: bool) -> History:
    run = Run(job)
    if job.folder is not None and saved:
        _restore(run, saved, job.folder)
    try:
        run.go(show)
    finally:
        job.g.eval()  # as promised, also of a run that was interrupted
        for own in run.stepper.parameters:
            own.grad = None  # it needs as much memory as the weights, and is of no further use
    return run.history


def _check(recipe: Recipe, wanted: Wanted) -> None:
    if recipe.tensorboard and wanted.run_dir is None:
        raise ValueError(
            "expected a run_dir for tensorboard=True, got none; the events are written into it"
        )
    if wanted.unlabelled is not None:
        _check_unlabelled(recipe, wanted)


def _check_unlabelled(recipe: Recipe, wanted: Wanted) -> None:
    unlabelled = wanted.unlabelled
    if not isinstance(unlabelled, PseudoLabels):
        raise TypeError(
            f"expected unlabelled as PseudoLabels, got {type(unlabelled).__name__}; make "
            "them with pseudo_label(teacher, images)"
        )
    unlabelled.check_values()
    # Those that the method would make by itself are of the labelled images, too.
    if columns := {**(wanted.extras or {}), **dict.fromkeys(recipe.needs)}:
        raise ValueError(
            f"expected extras or unlabelled images, got both ({', '.join(columns)}); the "
            "unlabelled images have no such columns"
        )
    if recipe.unlabelled_share is not None and recipe.batch_size == 1:
        raise ValueError(
            "expected batch_size >= 2 for images of both kinds in every mini-batch, got 1 with "
            f"unlabelled_share={recipe.unlabelled_share:g}; raise batch_size, or take "
            "unlabelled_share=None, for batches of their own"
        )
    if recipe.unlabelled_share is not None and unlabelled.weight != 1:
        raise ValueError(
            "expected a weight of 1 for pseudo-labelled images that share the mini-batches, got "
            f"{unlabelled.weight:g}; let unlabelled_share say how much they count"
        )
    if unlabelled.probabilities is not None and not recipe.soft_labels:
        raise ValueError(
            f"expected hard labels for {type(recipe).__name__}, whose loss is of one class, got "
            "class probabilities; label with soft=False"
        )


def _check_together(
    data: AnyData,
    held_out: ImageData | FolderData | None,
    unlabelled: PseudoLabels | None,
) -> None:
    """ValueError unless all images have the same channels, and all labels the same classes."""
    for what, other in (
        ("validation", held_out),
        ("unlabelled", None if unlabelled is None else unlabelled.data),
    ):
        if other is None:
            continue
        wanted, got = ((_channels(one), one.num_classes) for one in (data, other))
        if wanted != got:
            raise ValueError(
                f"expected {what} images of {wanted[0]} channels and {wanted[1]} classes, as the "
                f"training images are, got {got[0]} channels and {got[1]} classes"
            )


def _channels(data: AnyData) -> int:
    if isinstance(data, FolderData):
        return 3
    return data.images.shape[1] if isinstance(data, ImageData) else data.image_shape[0]


def _sources(
    recipe: Recipe,
    data: AnyData,
    unlabelled: PseudoLabels | None,
    device: torch.device,
) -> list[Source]:
    main = as_source(
        data, Draws(recipe.seed), device=device, augment=recipe.augment, workers=recipe.workers
    )
    return [main] if unlabelled is None else [main, unlabelled.source(recipe, device)]


def _training_data(data: TrainingData, g: SmoothedClassifier) -> AnyData:
    own = data if isinstance(data, ImageData | FolderData) else None
    return _checked(own or as_training_data(data, g.num_classes), g)


def _held_out(data: TrainingData, g: SmoothedClassifier) -> ImageData | FolderData:
    own = data if isinstance(data, ImageData | FolderData) else None
    return _checked(own or as_image_data(data, g.num_classes), g)


def _checked(images: Images, g: SmoothedClassifier) -> Images:
    """The images; ValueError unless there are any, of the classes of g."""
    if images.num_classes != g.num_classes or not len(images):
        raise ValueError(
            f"expected images of the classifier's {g.num_classes} classes, got {len(images)} of "
            f"{images.num_classes} classes; check num_classes of the SmoothedClassifier"
        )
    return images


def _folder(
    wanted: Wanted,
    recipe: Recipe,
    g: SmoothedClassifier,
    data: AnyData,
    held_out: ImageData | FolderData | None,
    extras: Mapping[str, Tensor],
) -> RunFolder | None:
    """The folder of the run, if any; ValueError where the model could not be saved at its end."""
    if wanted.run_dir is None:
        return None
    architecture = getattr(g.base, "architecture", None)
    if architecture is None:
        raise ValueError(
            f"expected a base classifier from MODELS.create to keep in {wanted.run_dir}, got "
            f"{type(g.base).__name__}; register its constructor with @MODELS.register('name'), or "
            "leave run_dir out"
        )
    architecture_of(g.base)  # or its layers are others by now
    config = describe_run(recipe, g, data, held_out, extras)
    if wanted.unlabelled is not None:
        config["unlabelled"] = wanted.unlabelled.fingerprint()
    return RunFolder(wanted.run_dir, config, since=described_defaults(recipe))


def _restore(run: Run, state: dict[str, Any], folder: RunFolder) -> None:
    """Let the run go on from a checkpoint; RecordError, which names it, if it is not whole."""
    try:
        run.restore(state)
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise folder.unusable(f"one that does not fit ({type(error).__name__}: {error})") from error


def _only_writer(folder: RunFolder | None, ranks: Ranks) -> AbstractContextManager[object]:
    """A context in which no other run writes into the folder; the processes of one run may."""
    if folder is None or not ranks.first:
        return nullcontext()
    return folder.only_writer(PATIENCE_SECONDS)


def _precision(
    recipe: Recipe,
    g: SmoothedClassifier,
    data: AnyData,
    ranks: Ranks,
    device: torch.device,
) -> Precision:
    """The choice of the first process, which also looks at what the base answers."""
    images, _ = data.batch(torch.arange(min(len(data), PROBE_IMAGES), device="cpu"))
    x = to_unit(images.to(device))
    if ranks.first and recipe.asks_classifier:
        guards.remark_on_outputs(g.base, x[:SEEN_IMAGES], g.num_classes)
    chosen = resolve_precision(recipe.precision, g.base, x)
    return "bfloat16" if ranks.agree(float(chosen == "bfloat16"), device) else "float32"
