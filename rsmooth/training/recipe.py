"""The recipe of a training run: its options, and the hooks in which methods differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

from rsmooth.attacks.base import Attack, check_untargeted
from rsmooth.data.files import FolderData
from rsmooth.data.images import ImageData
from rsmooth.models.precision import Precision
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.objectives import Objective, resolve_objective
from rsmooth.plumbing.declared import settle_fields
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.batch import Batch
from rsmooth.training.ending import short_of_epsilon, short_of_milestones
from rsmooth.training.optimizers import OptimizerName, build_optimizer
from rsmooth.training.options import (
    check_choices,
    check_numbers,
    loss_of_one_copy,
    settle_lists,
)
from rsmooth.training.parts import frozen_modules, unfrozen_parameters
from rsmooth.training.sampling import EpochStart, RunStart
from rsmooth.training.schedules import BudgetClock, Schedule, WarmUp, warmed_up
from rsmooth.training.tensorboard import check_installed

TrainingData = ImageData | FolderData | tuple[Any, Any] | Dataset[Any]


def _execution(default: Any) -> Any:
    """A field that changes how a run is carried out, not its result; a resumed run may differ."""
    return field(default=default, metadata={"changes_result": False})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train the base of a smoothed classifier: on noise, at attacked points.

        Trainer(attack=SmoothAdvPGD(epsilon=1.0, steps=4), num_noise=4, epochs=10)

    The defaults are the published recipe of SmoothAdv (Salman et al. 2019, arXiv:1906.04584) for
    CIFAR-10 from scratch. Each batch is cut into ``num_noise`` mini-batches. For each, the noise is
    drawn once, num_noise copies per image. The attack sees it, it is added to what the attack
    returns, and one optimiser step is made on all copies. So a base-target attack gives order (2),
    attack f and then add noise. A smoothed-target one gives order (4), SmoothAdv. With attack None
    it is noise augmentation (Cohen et al. 2019, arXiv:1902.02918).

    A method overrides the smallest hook that suffices: ``loss``, ``training_points``, or
    ``losses``, which is given the whole ``Batch``. It may also say its optimiser, what it trains,
    the growth of epsilon, and how often the next epoch draws each image.

    attack: how training points are perturbed; None for noise alone.
    num_noise: noise copies m per image, and optimiser steps per batch; lr is not rescaled.
    train_loss: "naive", the mean cross-entropy over the copies (the published code), or
        "smoothadv", the cross-entropy of their mean probability (the paper's formula); or any
        function (B, m, K), (B,) -> (B,). Methods with a loss of their own take no other.
    epochs: passes over the data; with ``budget_seconds`` the length that the schedules span.
    batch_size: images per batch over all processes, before it is cut into mini-batches.
    optimizer: "sgd", "adam", "adamw" or "muon" (AdamW for vectors, first layer and head).
    lr, weight_decay: of the optimiser; the decay acts on all parameters.
    momentum: of SGD and Muon; the first beta of Adam and AdamW.
    nesterov: whether the momentum of SGD or Muon looks ahead.
    schedule: "step" (times lr_gamma every lr_step_epochs), "milestones" (times lr_gamma at each of
        lr_milestones), "one-cycle" (up over 30 % of the run, down to 0; lr is its peak) or "cosine"
        (down to 0).
    warmup_epochs: epochs until the attack's epsilon has its full value; it grows linearly.
    warmup_from: the epoch at which that begins; before it epsilon is 0.
    warmup_per: whether epsilon grows from "epoch" to epoch, as published, from "step" to step, or
        from step to step along the "smoothed" ramp of CROWN-IBP.
    clip_grad_norm: largest norm of the whole gradient; None leaves it alone.
    ema_decay: decay of a moving average of the weights, which is then validated and saved; None
        for none. The decay grows to it over the first steps.
    unlabelled_share: share of pseudo-labelled images in every mini-batch, where there are some;
        None for whole batches of them that take turns with the labelled ones.
    frozen_parts: names of sub-modules of the base that neither train nor leave eval mode.
    augment: random crop and flip; None means as the data set says, or else for images with colour.
        Image folders crop by themselves, and so may data sets with random transforms, for which
        None means no.
    seed: of order, crops, flips and noise (not of the weights that the classifier came with).
    precision: "float32", "bfloat16" (autocast; weights and log-probabilities stay float32), or
        "auto": bfloat16 where the machine has instructions for it and the model needs 1e7
        operations per image or more. The choice is recorded in the metrics, and holds for a resumed
        run.
    channels_last: whether the convolutions' weights are laid out channels last during training,
        which CPUs and GPUs prefer.
    compile: whether the base classifier runs through torch.compile. For a deep network its start
        takes minutes. Where there is no compiler, training warns and goes on without.
    cuda_graphs: whether one GPU records the kernels of a step and launches them at once. Made for
        deep, narrow networks. A method must then do the same for the same arguments. Where it waits
        for the GPU, or reads the epoch or the progress, training warns and goes on without.
    fold_attack: whether the attack meets a copy with batch norm folded into the convolutions. It
        is refreshed at every step, and is the same function up to rounding, but faster.
    budget_seconds: train for this long in place of ``epochs``; the schedules span it.
    budget_clock: "process" counts the CPU time of this process, "wall" real time.
    validate_every: epochs from one validation and checkpoint to the next; the last epoch has both.
        Above 1 where an epoch takes a GPU less than some seconds.
    checkpoint_seconds: longest time within an epoch until a run with a run_dir is saved again.
    workers: processes that read image folders.
    tensorboard: write the metrics for TensorBoard too (needs the extra of that name).
    """

    attack: Attack | None = None
    num_noise: int = 1
    train_loss: str | Objective = "naive"
    epochs: int = 150
    batch_size: int = 256
    optimizer: OptimizerName = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 1e-4
    schedule: Schedule = "step"
    lr_step_epochs: int = 50
    lr_gamma: float = 0.1
    lr_milestones: Sequence[int] = ()
    warmup_epochs: int = 10
    warmup_from: int = 0
    warmup_per: WarmUp = "epoch"
    clip_grad_norm: float | None = None
    ema_decay: float | None = None
    unlabelled_share: float | None = None
    frozen_parts: Sequence[str] = ()
    augment: bool | None = None
    seed: int = 0
    precision: Precision = "auto"
    channels_last: bool = True
    compile: bool = False
    fold_attack: bool = True
    budget_seconds: float | None = None
    budget_clock: BudgetClock = "process"
    validate_every: int = 1
    checkpoint_seconds: float = _execution(300.0)
    cuda_graphs: bool = _execution(False)
    workers: int = _execution(4)
    tensorboard: bool = _execution(False)

    # Whether ``losses`` takes class probabilities as targets.
    soft_labels: ClassVar[bool] = True
    # Whether ``losses`` searches for perturbations in ``batch.g`` without an ``attack``.
    searches: ClassVar[bool] = False
    # Whether ``losses`` of its own may let something grow by ``grown`` where there is no attack.
    warms_up: ClassVar[bool] = True
    # The extras that ``losses`` cannot do without, each class probabilities (N, K).
    needs: ClassVar[tuple[str, ...]] = ()
    # Whether it trains without noise, for deterministic certificates.
    without_noise: ClassVar[bool] = False
    # How many validation images are certified after each epoch, once epsilon has its full value.
    # The best model is the one with the most of them; at 0 accuracy under noise decides.
    certified_images: ClassVar[int] = 0
    # Names of the figures that ``losses`` notes; their means over the epoch are recorded.
    figures: ClassVar[tuple[str, ...]] = ()
    # To be changed where a method comes to compute something else.
    computes: ClassVar[str] = ""

    def __post_init__(self) -> None:
        settle_fields(self)
        settle_lists(self)
        check_numbers(self)
        check_choices(self)
        if self.num_noise > self.batch_size:
            raise ValueError(
                "expected num_noise <= batch_size (each batch is cut into num_noise "
                f"mini-batches), got num_noise={self.num_noise}, batch_size={self.batch_size}"
            )
        resolve_objective(self.train_loss)
        if self.tensorboard:
            check_installed()
        if not isinstance(self.attack, (Attack, type(None))):
            raise ValueError(
                "expected an attack such as SmoothAdvPGD(epsilon=0.5, steps=2), or None, got "
                f"{self.attack!r}"
            )
        if self.attack is not None:
            check_untargeted(self.attack)

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each image of a mini-batch, to be made small: (B,).

        Here: one pass at ``training_points``, and the ``loss`` of its log-probabilities. A method
        with several passes, random draws or a schedule of its own overrides it; see ``Batch``.
        """
        points = self.training_points(batch.g, batch.x, batch.y, batch.noise, batch.attack)
        log_probs = batch.log_probs(points)
        return expected_loss(lambda y: self.loss(log_probs, y), batch.targets)

    def training_points(
        self, g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor, attack: Attack | None
    ) -> Tensor:
        """The points to train on: images x (B, C, H, W) and noise (B, m, C, H, W) -> (B, M, ...).

        g: the classifier in eval mode. y: labels (B,). attack: at its present epsilon. Here:
        perturb, then add the noise that the attack saw; M = m.
        """
        if attack is not None:
            x = attack(g, x, y, noise=noise, validate=False)
        return x.unsqueeze(1) + noise

    def loss(self, log_probs: Tensor, y: Tensor) -> Tensor:
        """The loss of each image from log-probabilities (B, M, K) and labels (B,): (B,)."""
        return resolve_objective(self.train_loss)(log_probs, y)

    def epsilon_at(self, progress: float) -> float:
        """The attack's epsilon at a progress in epochs, such as 2.25, a quarter into the third."""
        if self.attack is None:
            return 0.0
        return self.grown(self.attack.epsilon, progress)

    def grown(self, epsilon: float, progress: float) -> float:
        """What ``epsilon`` has grown to at a progress in epochs, as the warm-up's options say."""
        return warmed_up(
            epsilon, progress, self.warmup_epochs, self.warmup_per, since=self.warmup_from
        )

    def without_effect(self, extras: Collection[str]) -> dict[str, str]:
        """Options of the method that have no effect beside others: their names, and beside what.

        extras: the names of the columns that ``fit`` was given. Training warns of those that are
        not at their default. Here: a loss of several copies where there is one.
        """
        kind = type(self)
        own = (kind.losses, kind.training_points) != (Recipe.losses, Recipe.training_points)
        return {} if own else loss_of_one_copy(self)

    def unreached(self) -> list[str]:
        """What of the schedules lies beyond the end of training, in words.

        It is recorded beside the metrics of the last epoch. Here: the full epsilon, and milestones
        of the learning rate.
        """
        return [*short_of_epsilon(self), *short_of_milestones(self)]

    @property
    def asks_classifier(self) -> bool:
        """Whether the loss is of answers of the base classifier."""
        return True

    def check_noise(self, noise: NoiseDistribution) -> None:
        """ValueError for a noise under which this method cannot train. Here: none is refused."""

    def check_base(self, base: nn.Module) -> None:
        """ValueError for a base classifier that this method cannot train. Here: none is refused."""

    def certified(self, g: SmoothedClassifier, x: Tensor, y: Tensor) -> Tensor:
        """Whether each image is right and certified at the full epsilon: (B,).

        For methods with ``certified_images``. g: in eval mode. x: images (B, C, H, W). y: labels.
        """
        raise NotImplementedError

    def trained_parameters(self, base: nn.Module) -> list[nn.Parameter]:
        """The parameters that training changes.

        Here: those that ask for a gradient and are outside of frozen_parts.
        """
        return unfrozen_parameters(base, self.frozen_parts)

    def set_modes(self, base: nn.Module) -> None:
        """Put the base into train mode before a step, and its frozen_parts into eval mode."""
        base.train()
        for part in frozen_modules(base, self.frozen_parts):
            part.eval()

    def build_optimizer(self, parameters: Sequence[nn.Parameter]) -> Optimizer:
        """The optimiser of these parameters; the run sets its learning rate at every step."""
        return build_optimizer(
            self.optimizer,
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
        )

    def make_extras(self, start: RunStart) -> Mapping[str, Tensor]:
        """Columns of the training images that the method makes by itself: each (N, ...).

        It is asked before the first step, and again when a run goes on, for what ``needs`` names
        and ``fit`` was not given. Under torchrun every process is asked.
        """
        return {}

    def sample_weights(self, start: EpochStart) -> Tensor | None:
        """How often the coming epoch draws each training image, relative to the others: (N,).

        As many images are drawn as there are, with replacement. A weight of 0 leaves one out. None,
        as here, takes every image once.
        """
        return None


def expected_loss(loss: Callable[[Tensor], Tensor], targets: Tensor) -> Tensor:
    """A loss of labels, or its mean under class probabilities: targets (B,) or (B, K) -> (B,).

        expected_loss(lambda y: naive(log_probs, y), batch.targets)

    loss: labels (B,) -> losses (B,). targets: labels (B,) or class probabilities (B, K).
    """
    if targets.ndim == 1:
        return loss(targets)
    of_class = [
        loss(torch.full_like(targets[:, 0], k, dtype=torch.int64)) for k in range(targets.shape[1])
    ]
    return (targets * torch.stack(of_class, dim=1)).sum(dim=1)
