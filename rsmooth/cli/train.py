"""``rsmooth train``: from a configuration to a run folder with a trained model."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rsmooth.cli.models import check_fits
from rsmooth.cli.verbs import VERBS
from rsmooth.config.effective import with_defaults, write_effective
from rsmooth.config.folder import claimed, model_path
from rsmooth.config.images import as_option, image_shape, load_split, load_splits
from rsmooth.config.parts import (
    build_model,
    build_noise,
    build_trainer,
    noise_config,
    settle_trainer,
)
from rsmooth.config.specs import Spec, split_spec
from rsmooth.plumbing.memory import keep_freed_memory
from rsmooth.plumbing.parallel import first_rank, pick_device
from rsmooth.registry import DATASETS, TRAINERS

if TYPE_CHECKING:
    import torch

    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.data.splits import DataSplits
    from rsmooth.defenses.trainer import Trainer
    from rsmooth.noise.distributions import NoiseDistribution
    from rsmooth.smoothed import SmoothedClassifier
    from rsmooth.training.sources import PseudoLabels

# A mapping, so that --dataset.validation 0.2 alone sets an option of the default.
DIGITS: Spec = {"name": "digits"}


@dataclass(frozen=True, kw_only=True)
class SelfTraining:
    """Further training images, which a teacher labels.

    unlabelled: a data set whose training images a teacher labels, for training on them as well
    unlabelled_split: default: train; validation is what --dataset.validation holds out
    teacher: the model (run folder or file) that labels them
    unlabelled_weight: weight of the loss of pseudo-labelled batches
    soft_labels: train on the probabilities of the teacher, not on its answers
    confidence: leave out unlabelled images with a smaller confidence of the teacher
    """

    unlabelled: Spec | None = None
    unlabelled_split: Literal["train", "validation"] | None = None
    teacher: Path | None = None
    unlabelled_weight: float = 1.0
    soft_labels: bool = False
    confidence: float = 0.0

    def config(self) -> dict[str, Any]:
        """These options for config.yaml; none where there are no unlabelled images."""
        if self.unlabelled is None:
            return {}
        return {**asdict(self), "teacher": _text(self.teacher)}

    def labels(self, labelled: DataSplits, seed: int, device: torch.device) -> PseudoLabels | None:
        """The images as the teacher labels them; ValueError unless they fit the labelled data."""
        if self == NO_OTHERS:
            return None
        if self.unlabelled is None or self.teacher is None:
            raise ValueError(
                "expected unlabelled images and a teacher together, and unlabelled_split, "
                "unlabelled_weight, soft_labels and confidence only beside them, got "
                f"unlabelled={self.unlabelled!r} and teacher={self.teacher}; add what is missing"
            )
        from rsmooth.defenses.selftrain import pseudo_label
        from rsmooth.smoothed import SmoothedClassifier

        images = self._images(self.unlabelled)
        judge = SmoothedClassifier.load(model_path(self.teacher, "last"), map_location=device)
        check_fits(judge, image_shape(images))
        found = (image_shape(images), judge.num_classes)
        if found != (labelled.image_shape, labelled.num_classes):
            raise ValueError(
                f"expected unlabelled images {labelled.image_shape} and a teacher of "
                f"{labelled.num_classes} classes, as the data set has, got {found[0]} and "
                f"{found[1]}; choose others"
            )
        return pseudo_label(
            judge,
            images,
            soft=self.soft_labels,
            confidence=self.confidence,
            weight=self.unlabelled_weight,
            seed=seed,
        )

    def _images(self, unlabelled: Spec) -> ImageData:
        from rsmooth.data.images import ImageData

        with as_option("unlabelled"):
            images = load_split(unlabelled, self.unlabelled_split or "train")
        if not isinstance(images, ImageData):
            raise ValueError(
                "expected unlabelled images that fit into memory, got the image folder "
                f"{unlabelled!r}; put them into an .npz file"
            )
        return images


NO_OTHERS = SelfTraining()


@VERBS.register("train", positionals=("run",), resumes=True)
def train(
    run: Path,
    *,
    sigma: float | None = None,
    noise: Spec | None = None,
    dataset: Spec = DIGITS,
    model: Spec | None = None,
    trainer: Spec | None = None,
    attack: Spec | None = None,
    preset: str | None = None,
    init_from: Path | None = None,
    keep_head: bool | None = None,
    further: SelfTraining = NO_OTHERS,
    earlier: Sequence[Path] = (),
    seed: int = 0,
    device: str = "auto",
    progress: bool = True,
) -> None:
    """Train a smoothed classifier into a run folder.

    The same command continues a training that was interrupted.

    Args:
        run: the folder for configuration, metrics, checkpoint and model
        sigma: standard deviation of Gaussian noise in [0,1] pixel units, e.g. 0.25 or 64/255; 0 is
            for classifiers that are certified by bounds, the default of trainers that learn those
        noise: other noise, e.g. uniform with --noise.half_width 0.5 (see rsmooth list noises)
        dataset: the training data; options as --dataset.root=... (see rsmooth list datasets)
        model: the base classifier (see rsmooth list models); default: small-cnn
        trainer: the training method (see rsmooth list trainers); default: that of the preset, else
            smoothadv or perturb-then-noise for an attack on the smoothed or the base classifier,
            else gaussian
        attack: the attack that training defends against (see rsmooth list attacks)
        preset: named options of the trainer (paper, fast, overnight, finetune, digits, or published
            ones of a method such as macer-cifar10-0.25); those of --trainer come first
        init_from: a trained model (run folder or file) to start from with a fresh head, in place of
            a new model
        keep_head: keep the last layer of init_from too, to go on with another method; default: a
            fresh one
        earlier: models of an ensemble's earlier stages; only images are trained on that none of
            them certifies (for trainers that learn bounds)
        seed: seed of the initial weights and of the trainer
        device: cpu, cuda, or auto
        progress: show a progress bar
    """
    trainer, why = settle_trainer(trainer, attack, preset)
    if sigma is None and noise is None and _without_noise(trainer):
        sigma = 0.0
    drawn = build_noise(sigma, noise, zero=True)
    config: dict[str, Any] = {
        **noise_config(drawn),
        "dataset": dataset,
        "model": model,
        "trainer": trainer,
        "attack": attack,
        "preset": preset,
        "init_from": _text(init_from),
        "keep_head": keep_head or None,
        "seed": seed,
        **further.config(),
        **({"earlier": [str(each) for each in earlier]} if earlier else {}),
    }
    target = pick_device(device)
    if target.type == "cpu":
        keep_freed_memory()  # this process is ours
    splits = load_splits(dataset)
    if splits.train is None:
        raise ValueError(
            f"expected a data set with training images, got {dataset!r} without any; choose another"
        )
    built = build_trainer(trainer, attack, seed, preset)
    built.check_noise(drawn)
    g = _starting_point(model, init_from, bool(keep_head), splits, drawn, seed).to(target)
    check_fits(g, splits.image_shape)
    extra = further.labels(splits, seed, target)
    images = _left_over(built, earlier, splits.train, target) if earlier else splits.train
    with claimed(run, config):  # so that a mistake in the options leaves no folder behind
        if first_rank():
            if why is not None:
                name = split_spec(trainer, TRAINERS.kind)[0]
                print(f"trainer {name}, {why}; --trainer names another", flush=True)
            write_effective(run, **{**config, **_chosen(g, dataset, built, target)})
        history = built.fit(
            g,
            images,
            validation=splits.validation,
            unlabelled=extra,
            run_dir=run,
            progress=progress,
        )
    if first_rank():
        split = "training" if splits.validation is None else "validation"
        _summarise(run, history[-1], split, noisy=drawn.scale_value > 0)


def _chosen(
    g: SmoothedClassifier, dataset: Spec, trainer: Trainer, device: torch.device
) -> dict[str, Any]:
    """The options with all defaults, in place of those that were given."""
    return {
        "noise": g.noise.record(),
        "dataset": with_defaults(DATASETS, dataset),
        "model": getattr(g.base, "architecture", None) or type(g.base).__name__,
        "trainer": trainer,
        "device": str(device),
    }


def _left_over(
    trainer: Trainer, earlier: Sequence[Path], images: ImageData | FolderData, device: torch.device
) -> ImageData:
    """The images that no earlier stage certifies; ValueError for a trainer without bounds."""
    from rsmooth.data.images import ImageData
    from rsmooth.defenses.bound_training import BoundTraining
    from rsmooth.defenses.stages import uncertified
    from rsmooth.smoothed import SmoothedClassifier

    if not isinstance(trainer, BoundTraining) or not isinstance(images, ImageData):
        raise ValueError(
            "expected earlier stages with a trainer that learns bounds, such as wong-kolter, and "
            f"with images in memory, got {type(trainer).__name__} and {type(images).__name__}"
        )
    stages = [
        SmoothedClassifier.load(model_path(each, "last"), map_location=device) for each in earlier
    ]
    return uncertified(trainer, stages, images)


def _without_noise(trainer: Spec) -> bool:
    """Whether the trainer of a spec is one for classifiers without noise."""
    entry = TRAINERS.get(split_spec(trainer, TRAINERS.kind)[0])
    return bool(getattr(entry, "without_noise", False))


def _summarise(run: Path, epoch: dict[str, Any], images: str, *, noisy: bool) -> None:
    accuracy = epoch.get("validation_accuracy", epoch.get("train_accuracy"))
    certified = epoch.get("validation_certified_accuracy")
    reached = ""
    if accuracy is not None:  # a method may train without a single answer of the classifier
        under = " under noise" if noisy else ""
        proven = "" if certified is None else f", certified {100 * float(certified):.1f} %"
        reached = f"accuracy{under} {100 * float(accuracy):.1f} %{proven} on the {images} images; "
    if "precision" in epoch:
        reached += f"computed in {epoch['precision']}; "
    how = "" if noisy else " --norm linf --epsilons 2/255"
    if "remark" in epoch:
        print(f"remark on {run}: {epoch['remark']}")
    print(f"trained {run}: {reached}see rsmooth certify {shlex.quote(str(run))}{how}")


def _starting_point(
    model: Spec | None,
    init_from: Path | None,
    keep_head: bool,
    splits: DataSplits,
    noise: NoiseDistribution,
    seed: int,
) -> SmoothedClassifier:
    """A new model, or a trained one, by default with a fresh head; weights drawn from ``seed``."""
    import torch

    from rsmooth.defenses.pretrain import init_from as start_from
    from rsmooth.smoothed import SmoothedClassifier

    if init_from is None and keep_head:
        raise ValueError(
            "expected init_from beside keep_head, got a new model; name a trained model, or leave "
            "keep_head out"
        )
    if init_from is not None and model is not None:
        raise ValueError(
            f"expected either a model or init_from, got both ({model!r} and {init_from}); leave "
            "one out"
        )
    classes = splits.num_classes
    with torch.random.fork_rng(devices=[]):  # main() may be called by a program
        torch.manual_seed(seed)
        if init_from is not None:
            source = model_path(init_from, "last")
            return start_from(source, noise=noise, num_classes=classes, keep_head=keep_head)
        base = build_model(model or "small-cnn", splits)
        return SmoothedClassifier(base, noise=noise, num_classes=classes)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
