"""The checks for plug-in authors: every part of ours passes, and broken ones are reported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from rsmooth import testing
from rsmooth.attacks import Attack, Problem, Victim, l2
from rsmooth.data import DataSplits, load_dataset
from rsmooth.defenses import Trainer
from rsmooth.models import small_cnn
from rsmooth.noise import Gaussian
from rsmooth.objectives import naive
from rsmooth.registry import ATTACKS, MODELS, NOISES, OBJECTIVES, TRAINERS
from rsmooth.training import Batch
from tests.attacks.outside import QUICK, quick, theirs
from tests.training.helpers import build, suited

FOOLBOX: dict[str, Any] = {
    "attack": "L2PGD",
    "options": {"steps": 5, "rel_stepsize": 0.4},
    "target": "smoothed",
}


@pytest.mark.parametrize("name", ATTACKS.own_names())
def test_attacks(name: str) -> None:
    with theirs():
        if name in QUICK:
            attack = quick(name)
        else:
            options = FOOLBOX if name == "foolbox" else {"steps": 5}
            attack = ATTACKS.create(name, epsilon=0.5, **options)
        testing.check_attack(attack)


@pytest.mark.parametrize("name", OBJECTIVES.own_names())
def test_objectives(name: str) -> None:
    testing.check_objective(OBJECTIVES.get(name))


@pytest.mark.parametrize("name", TRAINERS.own_names())
def test_trainers(name: str) -> None:
    trainer = build(name)
    testing.check_trainer(trainer, suited(trainer))


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize("scale", [0.12, 0.5])
def test_noises(name: str, scale: float) -> None:
    testing.check_noise(NOISES.get(name)(scale))


@pytest.mark.parametrize("name", ["small-cnn", "mlp", "resnet8"])
def test_models(name: str) -> None:
    testing.check_model(MODELS.create(name, num_classes=4, in_channels=1).eval())


def test_the_embedded_data_set() -> None:
    testing.check_dataset(load_dataset("digits"))


@dataclass(frozen=True, kw_only=True)
class Lax(Attack):
    """Breaks what an attack owes."""

    kind: str

    def _perturb(self, victim: Victim, problem: Problem) -> Tensor:
        x = problem.x
        if self.kind == "shape":
            return x[:, :1]
        if self.kind in ("epsilon", "smaller"):
            length = 1.01 * self.epsilon if self.kind == "epsilon" else 0.5
            signs = 1 - 2 * (x > 0.5).to(x.dtype)  # into the box
            return x + 0 * victim.log_probs(x).sum() + length * signs / x[0].numel() ** 0.5
        if self.kind == "targeted":
            sign = 1.0 if self.targeted else 0.0  # away from the class, wherever it leads
            point = x.clone().requires_grad_()
            rows, m = torch.arange(len(x)), 0
            odds = victim.log_probs(point)[rows, m, problem.y].sum()
            (gradient,) = torch.autograd.grad(odds, point)
            return x - sign * self.epsilon * l2.unit(gradient)
        for own in victim._g.parameters():
            own.data.add_(0.1)
        return problem.x


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("shape", "images like those handed in"),
        ("weights", "weights as they"),
        ("epsilon", r"perturbations of l2 norm up to epsilon=0.5, got one of 0.50[45]"),
        ("smaller", r"perturbations of l2 norm up to epsilon=0.25, got one of 0.5 "),
        ("targeted", "better odds of the class to reach"),
    ],
)
def test_an_attack_that_owes_something_is_reported(kind: str, message: str) -> None:
    with pytest.raises((AssertionError, ValueError), match=f"expected {message}"):
        testing.check_attack(Lax(epsilon=0.5, kind=kind))


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (lambda log_probs, y: log_probs.mean(), r"one loss per image \(5,\)"),
        (lambda log_probs, y: log_probs.mean(dim=(1, 2)) - log_probs.mean(), "its own image alone"),
        (lambda log_probs, y: log_probs.mean(dim=(1, 2)) / 0, "finite losses"),
        (lambda log_probs, y: None, "one loss per image"),
        (lambda log_probs, y: naive(log_probs, y).detach(), "losses with a gradient"),
        (lambda log_probs, y: -naive(log_probs, y), "smaller losses of likelier labels"),
        (
            lambda log_probs, y: -log_probs.exp().mean(dim=1).gather(1, y[:, None])[:, 0].log(),
            "finite losses of probabilities of 0",
        ),
    ],
)
def test_an_objective_that_is_none_is_reported(
    objective: Callable[..., Tensor], message: str
) -> None:
    with pytest.raises(AssertionError, match=f"expected .*{message}"):
        testing.check_objective(objective)


class Counting(nn.Module):
    """Answers by what else is in the batch."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.mean(dim=(1, 2, 3)), (x - x.mean(dim=0)).sum(dim=(1, 2, 3))], dim=1)


def test_a_model_that_mixes_a_batch_is_reported() -> None:
    with pytest.raises(ValueError, match="answers each image on its own"):
        testing.check_model(Counting())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda logits: logits.detach(), "logits with a gradient"),
        (lambda logits: logits / 0, "finite logits"),
        (lambda logits: 0 * logits, "gradients in the images"),
        (lambda logits: logits[:2], r"logits \(N, K\)"),
    ],
)
def test_a_model_that_answers_badly_is_reported(
    answer: Callable[[Tensor], Tensor], message: str
) -> None:
    class Answering(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return answer(x.flatten(1)[:, :3])

    with pytest.raises(AssertionError, match=f"expected {message}"):
        testing.check_model(Answering())


def test_a_trainer_that_learns_nothing_is_reported() -> None:
    """Batch statistics move, and weight decay would move weights."""

    class Idle(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            return 0 * super().losses(batch)

    with pytest.raises(AssertionError, match="expected weights that training moves"):
        testing.check_trainer(Idle())


def test_a_trainer_is_resumed_at_an_epochs_start_and_within_it() -> None:
    starts: list[tuple[int, float]] = []

    class Telling(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            starts.append((batch.epoch, batch.progress))
            return super().losses(batch)

    testing.check_trainer(Telling())
    whole = [(0, 0.0), (0, 0.5), (1, 1.0), (1, 1.5)]
    assert starts == whole + whole[:3] + whole[2:] + whole[3:]


def test_a_trainer_that_forgets_is_reported() -> None:
    """Its own random numbers are no part of a checkpoint."""
    fresh = iter(range(10**6))

    @dataclass(frozen=True, kw_only=True)
    class Forgetful(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            return super().losses(batch) * (1 + next(fresh))

    with pytest.raises(AssertionError, match="the same bits after an interruption"):
        testing.check_trainer(Forgetful())


@dataclass(frozen=True)
class Proud(Gaussian):
    """Radii that are too large by a hundredth."""

    name: ClassVar[str] = "proud"

    def radius_of_miss(self, miss: Any) -> Any:
        return 1.01 * super().radius_of_miss(miss)


@dataclass(frozen=True)
class Consistent(Proud):
    """The same, and the shares that belong to them."""

    name: ClassVar[str] = "consistent"

    def miss_of_radius(self, radius: float) -> float:
        return super().miss_of_radius(radius / 1.01)


@dataclass(frozen=True)
class Skewed(Gaussian):
    """A sampler of another width than the formulas'."""

    name: ClassVar[str] = "skewed"

    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        return super().fill_standard(tensor, generator).mul_(1.05)


@dataclass(frozen=True)
class Upwards(Gaussian):
    """Radii that are rounded up."""

    name: ClassVar[str] = "upwards"

    def radius_rounded_down(self, miss: Any, relative: Any = 0.0) -> Any:
        return (1 + 1e-6) * super().radius_rounded_down(miss, relative)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Proud, "share to be the inverse of radius"),
        (Consistent, "radii that no step on one pixel refutes"),
        (Upwards, "radii that are rounded down"),
        (Skewed, "draws of the distri"),
    ],
)
def test_a_noise_that_promises_too_much_is_reported(
    kind: type[Gaussian], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NOISES._entries, kind.name, kind)
    with pytest.raises(AssertionError, match=f"expected {message}"):
        testing.check_noise(kind(0.25))


def test_splits_that_overlap_are_reported() -> None:
    splits = load_dataset("digits")
    broken = DataSplits(splits.train, splits.train, splits.test, 10, (1, 8, 8))
    with pytest.raises(AssertionError, match="validation images that are no training images"):
        testing.check_dataset(broken)


def test_a_split_of_another_name_is_reported() -> None:
    splits = load_dataset("digits")
    broken = DataSplits(splits.test, None, splits.train, 10, (1, 8, 8))
    with pytest.raises(AssertionError, match="expected the train split to be called so, got test"):
        testing.check_dataset(broken)


def test_the_small_cnn_of_the_checks_is_the_registered_one() -> None:
    assert MODELS.get("small-cnn") is small_cnn


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.full((2, 1, 8, 8), 5.0), [0, 1], r"images within \[0, 1\]"),
        (torch.full((2, 1, 8, 8), float("nan")), [0, 1], r"images within \[0, 1\]"),
        (torch.zeros(1, 1, 8, 8), [0, 1], "image_shape"),
        (torch.zeros(2, 1, 8, 8), [0], "two int64 labels"),
        (torch.zeros(2, 1, 8, 8), [0.0, 1.0], "two int64 labels"),
        (torch.zeros(2, 1, 8, 8), [-1, 0], "labels from 0 on"),
        (torch.zeros(2, 1, 8, 8), [0, 10], "labels below num_classes"),
    ],
)
def test_a_batch_that_is_none_is_reported(
    images: Tensor, labels: list[float], message: str
) -> None:
    class Split:
        num_classes, index, labels = 10, torch.arange(2), torch.arange(2)

        def __len__(self) -> int:
            return 2

        def batch(self, positions: Any) -> tuple[Tensor, Tensor]:
            return images, torch.tensor(labels)

        def subset(self, positions: Any) -> Any:
            return positions

    broken: Any = DataSplits(Split(), None, None, 10, (1, 8, 8))  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match=f"expected {message}"):
        testing.check_dataset(broken)
