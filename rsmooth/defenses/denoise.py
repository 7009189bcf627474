"""Denoised smoothing: train a denoiser before a classifier that stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from rsmooth.defenses.trainer import Trainer
from rsmooth.models.nested import build_part
from rsmooth.models.state import dtype_of
from rsmooth.objectives import naive
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import TRAINERS
from rsmooth.training.batch import Batch
from rsmooth.training.optimizers import OptimizerName
from rsmooth.training.options import check_no_attack, check_own_loss, settle_names
from rsmooth.training.parts import named_part

Objective = Literal["mse", "classification", "stability"]


@TRAINERS.register("denoiser")
@dataclass(frozen=True, kw_only=True)
class DenoiserTraining(Trainer):
    """Train the denoiser of a "denoised" model, and nothing else of it (Salman et al. 2020).

        base = MODELS.create("denoised", denoiser="dncnn", classifier="runs/clean")
        DenoiserTraining(objective="stability").fit(SmoothedClassifier(base, 0.25, 10), data.train)

    objective: "mse", the mean squared error per pixel; "classification", the cross-entropy of the
        classifier behind the denoiser; or "stability", the same to the class that the classifier
        gives to the clean image, which needs no label.
    surrogates: run folders or files of classifiers that take turns from step to step in place of
        the model's own, where that cannot be differentiated. Not for "mse".

    arXiv:2003.01908, section 2; Adam with a rate of 0.001, a tenth after 30 and 60 of 90 epochs.
    The classifiers are in eval mode. Their "stab+mse" is "stability" from a denoiser that was
    trained by "mse". ValueError for an attack, for a train_loss, and for a model without
    denoiser and classifier.
    """

    objective: Objective = "mse"
    surrogates: Sequence[str] = ()
    optimizer: OptimizerName = "adam"
    lr: float = 1e-3
    epochs: int = 90
    lr_step_epochs: int = 30
    frozen_parts: Sequence[str] = ("classifier",)

    soft_labels: ClassVar[bool] = False
    warms_up: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_no_attack(self)
        check_own_loss(self)
        if "classifier" not in self.frozen_parts:
            object.__setattr__(self, "frozen_parts", (*self.frozen_parts, "classifier"))
        settle_names(self, "surrogates", "a list of run folders such as ('runs/a', 'runs/b')")
        if self.objective not in get_args(Objective):
            known = ", ".join(get_args(Objective))
            raise ValueError(f"expected objective to be one of {known}, got {self.objective!r}")
        if self.surrogates and self.objective == "mse":
            raise ValueError(
                "expected surrogates for the objectives classification and stability, got "
                f"{self.surrogates} for mse, which asks no classifier; leave them out"
            )

    @property
    def asks_classifier(self) -> bool:
        return self.objective != "mse"

    def trained_parameters(self, base: nn.Module) -> list[nn.Parameter]:
        named_part(base, "denoiser")  # a better word about it than that on frozen_parts
        return super().trained_parameters(base)

    def losses(self, batch: Batch) -> Tensor:
        points = batch.x.unsqueeze(1) + batch.noise
        if self.objective == "mse":
            clean = batch.through("denoiser", points.flatten(0, 1)).view_as(points)
            return (clean - batch.x.unsqueeze(1)).square().mean(dim=(1, 2, 3, 4))
        if not self.surrogates:
            return naive(batch.log_probs(points), self._target(batch, None))
        denoised = batch.through("denoiser", points.flatten(0, 1))
        known = tuple((path, _written(path)) for path in self.surrogates)
        judges = _loaded(known, batch.x.device, denoised.dtype)
        judge = judges[batch.step % len(judges)]
        logits = judge(denoised)
        answers = logits.log_softmax(dim=1).view(*points.shape[:2], -1)
        return naive(answers, self._target(batch, judge))

    @torch.no_grad()
    def _target(self, batch: Batch, judge: nn.Module | None) -> Tensor:
        """The labels, or the classes that the judge gives to the clean images."""
        if self.objective == "classification":
            return batch.y
        if judge is None:
            return batch.through("classifier", batch.x).argmax(dim=1)
        logits: Tensor = judge(batch.x.to(dtype_of(judge, batch.x.dtype)))
        return logits.argmax(dim=1)


def _written(path: str) -> int:
    """When the model there was last written; 0 for a registered name."""
    file = user_path(path)
    file = file / "model.pt" if file.is_dir() else file
    return file.stat().st_mtime_ns if file.exists() else 0


@lru_cache(maxsize=4)
def _loaded(
    known: tuple[tuple[str, int], ...], device: torch.device, dtype: torch.dtype
) -> tuple[nn.Module, ...]:
    """Frozen classifiers in eval mode, read once for each time that they were written."""
    built = [build_part(path)[0] for path, _ in known]
    return tuple(own.to(device, dtype).eval().requires_grad_(False) for own in built)
