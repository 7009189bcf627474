"""One training step equals that of the authors' own code: loss, gradients, statistics."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth import MODELS, SmoothAdvDDN, SmoothAdvPGD
from rsmooth.defenses import Consistency, Stability, Trainer
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.steps import Stepper

STEPS = np.load(Path(__file__).with_name("published_steps.npz"))


def published(method: str) -> dict[str, Tensor]:
    """The arrays of one step: net/..., x, y, noise, grad/..., after/..., loss and options."""
    names = [name for name in STEPS.files if name.startswith(f"{method}/")]
    return {name.split("/", 1)[1]: torch.from_numpy(STEPS[name]) for name in names}


def network(step: dict[str, Tensor]) -> SmoothedClassifier:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 5),
    ).double()
    net.load_state_dict(
        {name.removeprefix("net/"): value for name, value in step.items() if "net/" in name}
    )
    return SmoothedClassifier(net, float(step["sigma"]), 5)


def one_step(trainer: Trainer, step: dict[str, Tensor]) -> tuple[float, SmoothedClassifier]:
    """The mean loss of the step, and the classifier with its gradients."""
    g = network(step)
    stepper = Stepper(trainer, g, Ranks(), "float32")
    x, y, noise = step["x"], step["y"], step["noise"]
    ids = torch.arange(len(x))
    stepper.step(x, y, noise, ids, lr=0.0, attack=None, scale=1 / len(x))
    return float(stepper.meter.totals[0]) / len(x), g


def trainer_of(method: str, step: dict[str, Tensor]) -> Trainer:
    option: dict[str, Any] = {
        name: float(value) for name, value in step.items() if value.numel() == 1
    }
    m = step["noise"].shape[1]
    if method == "consistency":
        weights = {"consistency_weight": option["lbd"], "entropy_weight": option["eta"]}
        return Consistency(num_noise=m, **weights)
    if method == "stability":
        return Stability(stability_weight=option["lbd"])
    from rsmooth_extras.macer import Macer

    return Macer(num_noise=m, weight=option["lbd"], beta=option["beta"], gamma=option["gamma"])


@pytest.mark.parametrize("method", ["consistency", "stability", "macer"])
@pytest.mark.usefixtures("plugins")
def test_a_step_is_the_authors_step(method: str) -> None:
    step = published(method)
    loss, g = one_step(trainer_of(method, step), step)
    near = 1e-9
    assert loss == pytest.approx(float(step["loss"]), abs=near)
    for name, parameter in g.base.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, step[f"grad/{name}"], rtol=0, atol=near)
    for name, buffer in g.base.named_buffers():
        if f"after/{name}" in step:
            torch.testing.assert_close(buffer, step[f"after/{name}"], rtol=0, atol=near)


def test_one_joint_pass_would_be_another_method() -> None:
    """So that the test above can fail: batch norm tells one pass from two."""

    class Joint(Stability):
        def losses(self, batch: Any) -> Tensor:
            both = torch.cat([batch.x.unsqueeze(1), batch.x.unsqueeze(1) + batch.noise], dim=1)
            log_probs = batch.log_probs(both)
            clean, noisy = log_probs[:, :1], log_probs[:, 1:]
            drift = -(clean.exp() * noisy).sum(dim=2).mean(dim=1)
            return self.loss(clean, batch.y) + self.stability_weight * drift

    step = published("stability")
    loss, _ = one_step(Joint(stability_weight=float(step["lbd"])), step)
    assert abs(loss - float(step["loss"])) > 0.05


ORACLE = "RSMOOTH_TRAIN_STEPS"


@pytest.mark.parametrize(
    ("run", "tolerance"),
    [("gaussian_m1", 1e-6), ("pgd_m4", 1e-6), ("pgd_m1", 1e-6), ("ddn_m1", 1e-3)],
)
def test_the_published_training_loop_arrives_at_the_same_weights(
    run: str, tolerance: float
) -> None:
    """Whole steps of the published loop, where their .npz lies at hand (too large for here)."""
    if ORACLE not in os.environ:
        pytest.skip(f"{ORACLE} does not name the file")
    file = np.load(os.environ[ORACLE])
    m, epsilon, steps, lr, momentum, decay, sigma = file[f"{run}/hyper"].tolist()
    base = MODELS.create("resnet8", num_classes=10, normalize="cifar10-center").double()
    before = {n.removeprefix("before/"): file[n] for n in file.files if n.startswith("before/")}
    base[1].load_state_dict({name: torch.from_numpy(value) for name, value in before.items()})
    kind = {"g": None, "p": SmoothAdvPGD, "d": SmoothAdvDDN}[run[0]]
    attack = None if kind is None else kind(epsilon=epsilon, steps=int(steps))
    trainer = Trainer(
        attack=attack,
        num_noise=int(m),
        lr=lr,
        momentum=momentum,
        weight_decay=decay,
        fold_attack=False,
    )
    stepper = Stepper(trainer, SmoothedClassifier(base, sigma, 10), Ranks(), "float32")
    noise = torch.from_numpy(file[f"{run}/noise"]).double()
    done = 0
    for x, y in zip(file[f"{run}/x"], file[f"{run}/y"], strict=True):
        images = torch.from_numpy(x).double() / 255
        for part, labels in zip(
            images.tensor_split(int(m)), torch.from_numpy(y).tensor_split(int(m)), strict=True
        ):
            copies = noise[done].view(len(part), int(m), *part.shape[1:])
            ids = torch.arange(len(part))
            stepper.step(part, labels, copies, ids, lr=lr, attack=attack, scale=1 / len(part))
            done += 1
    after = {n: file[f"{run}/after/{n}"] for n in before if f"{run}/after/{n}" in file.files}
    ours = base[1].state_dict()
    found = torch.cat([ours[n].double().flatten() for n in after])
    expected = torch.cat([torch.from_numpy(v).double().flatten() for v in after.values()])
    assert float((found - expected).norm() / expected.norm()) < tolerance
