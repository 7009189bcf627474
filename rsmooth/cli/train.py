"""``rsmooth train``: from a configuration to a run folder with a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.cli.images import image_shape, load_split, load_splits
from rsmooth.cli.options import accepts, create
from rsmooth.cli.runs import check_fits, claim, first_rank, model_path, pick_device
from rsmooth.cli.values import PixelValue, Spec, split_spec

if TYPE_CHECKING:
    import torch

    from rsmooth.data.splits import DataSplits
    from rsmooth.defenses.trainer import Trainer
    from rsmooth.smoothed import SmoothedClassifier
    from rsmooth.training.sources import PseudoLabels

DIGITS: Spec = {
    "name": "digits"
}  # mappings, so that --trainer.epochs 3 alone sets an option of the default
GAUSSIAN: Spec = {"name": "gaussian"}


def train(
    run: Path,
    sigma: PixelValue,
    dataset: Spec = DIGITS,
    model: Spec | None = None,
    trainer: Spec = GAUSSIAN,
    attack: Spec | None = None,
    preset: str | None = None,
    init_from: Path | None = None,
    unlabelled: Spec | None = None,
    teacher: Path | None = None,
    unlabelled_weight: float = 1.0,
    soft_labels: bool = False,
    confidence: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> None:
    """Train a smoothed classifier and keep everything about it in a run folder; resumes what was
    interrupted.

    Args:
        run: the folder for configuration, metrics, checkpoint and model
        sigma: standard deviation of the noise in [0,1] pixel units, e.g. 0.25 or 64/255
        dataset: what to train on; options as dataset.root=... (see rsmooth list datasets)
        model: the base classifier (see rsmooth list models); default: small-cnn
        trainer: how noise, attack and loss are joined (see rsmooth list trainers)
        attack: the attack that the trainer trains against (see rsmooth list attacks)
        preset: trainer options kept as data (paper, fast, finetune, digits), below those of trainer
        init_from: start from a trained model (run folder or file) with a fresh head, in place of a
            new model
        unlabelled: a data set whose training images a teacher labels, to train on as well
        teacher: the model (run folder or file) that labels them
        unlabelled_weight: weight of the loss of pseudo-labelled batches
        soft_labels: train on the teacher's probabilities instead of its answers
        confidence: leave out unlabelled images whose teacher is less sure than this
        seed: seeds the initial weights and the trainer
        device: cpu, cuda, or auto
        progress: show a progress bar
    """
    config: dict[str, Any] = {
        "sigma": float(sigma),
        "dataset": dataset,
        "model": model,
        "trainer": trainer,
        "attack": attack,
        "preset": preset,
        "init_from": _text(init_from),
        "seed": seed,
    }
    if unlabelled is not None:
        config |= {
            "unlabelled": unlabelled,
            "teacher": _text(teacher),
            "unlabelled_weight": unlabelled_weight,
            "soft_labels": soft_labels,
            "confidence": confidence,
        }
    from rsmooth.plumbing.numbers import check_sigma

    target = pick_device(device)
    splits = load_splits(dataset)
    if splits.train is None:
        raise ValueError(f"expected a data set with training images, got {dataset!r} without any")
    built = build_trainer(trainer, attack, seed, preset)
    g = _starting_point(model, init_from, splits, check_sigma(sigma), seed).to(target)
    check_fits(g, splits.image_shape)
    extra = pseudo_labels(
        unlabelled, teacher, unlabelled_weight, soft_labels, confidence, seed, target, splits
    )
    claim(run, config)  # only now, so that a mistake in the options leaves no folder behind
    history = built.fit(
        g,
        splits.train,
        validation=splits.validation,
        unlabelled=extra,
        run_dir=run,
        progress=progress,
    )
    if not first_rank():
        return
    accuracy = history[-1].get("validation_accuracy", history[-1]["train_accuracy"])
    print(
        f"trained {run}: accuracy under noise {100 * float(accuracy):.1f} % on the "
        f"{'training' if splits.validation is None else 'validation'} images; see rsmooth certify "
        f"{run}"
    )


def build_trainer(
    trainer: Spec, attack: Spec | None, seed: int, preset: str | None = None
) -> "Trainer":
    """The trainer of a spec, given the attack of another; its options go over the preset's and over
    ``seed``.
    """
    from rsmooth.defenses.preset_files import preset as preset_options
    from rsmooth.registry import ATTACKS, TRAINERS

    name, options = split_spec(trainer, TRAINERS.kind)
    below = {} if preset is None else preset_options(preset)
    against = {} if attack is None else {"attack": create(ATTACKS, attack)}
    built: Trainer = create(TRAINERS, {"name": name, "seed": seed, **below, **options}, **against)
    return built


def build_model(model: Spec, splits: "DataSplits") -> Any:
    """The base classifier of a spec, told the data's classes, shape and normalisation where the
    spec is silent.
    """
    from rsmooth.registry import MODELS

    name, options = split_spec(model, MODELS.kind)
    known = {
        "num_classes": splits.num_classes,
        "in_channels": splits.image_shape[0],
        "image_size": splits.image_shape[-1],
        "normalize": splits.normalize,
    }
    told = {
        key: value
        for key, value in known.items()
        if accepts(MODELS.get(name), key) and key not in options
    }
    return create(MODELS, {"name": name, **options}, **told)


def pseudo_labels(
    unlabelled: Spec | None,
    teacher: Path | None,
    weight: float,
    soft: bool,
    confidence: float,
    seed: int,
    device: "torch.device",
    labelled: "DataSplits",
) -> "PseudoLabels | None":
    """The training images of a data set as a teacher labels them; None where there is no such data
    set.

    ValueError for images or classes other than those of the labelled data.
    """
    if unlabelled is None and teacher is None and (weight, soft, confidence) == (1.0, False, 0.0):
        return None
    if unlabelled is None or teacher is None:
        raise ValueError(
            "expected unlabelled images and a teacher together, and beside them alone "
            "unlabelled_weight, "
            f"soft_labels and confidence, got unlabelled={unlabelled!r} and teacher={teacher}"
        )
    from rsmooth.data.images import ImageData
    from rsmooth.defenses.selftrain import pseudo_label
    from rsmooth.smoothed import SmoothedClassifier

    images = load_split(unlabelled, "train")
    if not isinstance(images, ImageData):
        raise ValueError(
            "expected unlabelled images that fit into memory, got the image folder "
            f"{unlabelled!r}; "
            "put them into an .npz file"
        )
    judge = SmoothedClassifier.load(model_path(teacher, "last"), map_location=device)
    check_fits(judge, image_shape(images))
    if (image_shape(images), judge.num_classes) != (labelled.image_shape, labelled.num_classes):
        raise ValueError(
            f"expected unlabelled images {labelled.image_shape} and a teacher of "
            f"{labelled.num_classes} "
            f"classes, as the data set has, got {image_shape(images)} and {judge.num_classes}"
        )
    return pseudo_label(judge, images, soft=soft, confidence=confidence, weight=weight, seed=seed)


def _starting_point(
    model: Spec | None, init_from: Path | None, splits: "DataSplits", sigma: float, seed: int
) -> "SmoothedClassifier":
    """A new model, or a trained one with a fresh head; weights drawn from ``seed``."""
    import torch

    from rsmooth.defenses.pretrain import init_from as start_from
    from rsmooth.smoothed import SmoothedClassifier

    torch.manual_seed(seed)
    if init_from is None:
        return SmoothedClassifier(
            build_model(model or "small-cnn", splits), sigma, splits.num_classes
        )
    if model is not None:
        raise ValueError(
            f"expected either a model or init_from, got both ({model!r} and {init_from}); leave "
            "one out"
        )
    return start_from(model_path(init_from, "last"), sigma=sigma, num_classes=splits.num_classes)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
