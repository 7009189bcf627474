"""Recorded steps: the same training as step by step, on a recorder that needs no GPU."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.training.distributed import Ranks
from rsmooth.training.graphs import CALLS_BEFORE, KEPT, Replayed
from rsmooth.training.muon import Muon
from rsmooth.training.steps import Stepper
from tests.training.helpers import classifier, images, trained


class StandIn:
    """What a CUDA graph does to Python: arguments are fixed, and a replay hands over nothing."""

    def __init__(self, broken: bool = False) -> None:
        self.log: list[str] = []
        self.broken = broken

    def run(self, function: Callable[[], None]) -> None:
        self.log.append("run")
        function()

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        self.log.append("record")
        if self.broken:
            raise RuntimeError("operation not permitted when stream is capturing")

        def replay() -> None:
            self.log.append("replay")
            function()

        return replay


def test_a_kind_of_call_is_recorded_once_it_repeats_and_then_replayed() -> None:
    total, recorder = torch.zeros(()), StandIn()
    add = Replayed(lambda x, *, times: total.add_(x.sum() * times), recorder)
    for _ in range(CALLS_BEFORE + 2):
        add(torch.ones(3), times=2)
    assert recorder.log == ["run"] * CALLS_BEFORE + ["record", "replay", "replay"]
    assert total == 6 * (CALLS_BEFORE + 2)
    add(torch.ones(2), times=2)  # another shape
    add(torch.ones(3), times=1)  # another constant
    add(torch.full((3,), 5.0), times=2)  # other values
    assert recorder.log[-3:] == ["run", "run", "replay"]
    assert total == 6 * (CALLS_BEFORE + 2) + 4 + 3 + 30


def test_few_recordings_are_kept_those_in_use() -> None:
    recorder = StandIn()
    nothing = Replayed(lambda x: None, recorder)
    for size in range(KEPT + 1):
        for _ in range(CALLS_BEFORE + 1):
            nothing(torch.ones(size))
        nothing(torch.ones(0))
    recorder.log.clear()
    nothing(torch.ones(0))
    nothing(torch.ones(1))
    assert recorder.log == ["replay", "record", "replay"]


def test_what_cannot_be_recorded_runs_on_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    total, recorder = torch.zeros(()), StandIn(broken=True)
    add = Replayed(lambda x: total.add_(x), recorder)
    with caplog.at_level(logging.WARNING):
        for _ in range(CALLS_BEFORE + 3):
            add(torch.ones(()))
    assert total == CALLS_BEFORE + 3
    assert recorder.log.count("record") == 1
    assert "goes on without CUDA graphs: operation not permitted" in caplog.text


OPTIONS: dict[str, Any] = {
    "attack": SmoothAdvPGD(epsilon=0.5, steps=2),
    "num_noise": 2,
    "epochs": 5,
    "batch_size": 10,
    "lr": 0.0625,
    "lr_step_epochs": 2,
    "lr_gamma": 0.5,
    "warmup_epochs": 2,
    "augment": True,
    "clip_grad_norm": 1.0,
}


def test_recorded_training_is_the_same_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A growing epsilon, a falling rate, mini-batches of two sizes, metrics: bit for bit.

    The rates are powers of 2.
    """
    plain = trained(Trainer(**OPTIONS))
    recorder = StandIn()
    monkeypatch.setattr(Stepper, "_choose_recorder", lambda self: recorder)
    g = classifier()
    history = Trainer(**OPTIONS).fit(g, images(), progress=False)
    assert torch.equal(
        torch.cat([v.detach().flatten().double() for v in g.base.state_dict().values()]), plain
    )
    assert recorder.log.count("replay") > recorder.log.count("run") > 0
    assert [row["images"] for row in history] == [24] * 5


class Refusing(StandIn):
    """As torch does it: no recording of an Adam whose groups do not say capturable."""

    def __init__(self, stepper: Stepper) -> None:
        super().__init__()
        self.stepper = stepper

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        optimizer = self.stepper.optimizer
        part = optimizer.adamw if isinstance(optimizer, Muon) else optimizer
        assert all(group.get("capturable", True) for group in part.param_groups)
        return super().record(function)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "muon"])
def test_every_optimiser_is_recorded_also_after_a_run_without_recordings(
    name: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    options = {**OPTIONS, "optimizer": name, "lr": 0.015625}
    plain = trained(Trainer(**options))
    count = [0]

    def stop(epoch: int, step: int) -> None:
        count[0] += 1
        if count[0] == 5:
            raise KeyboardInterrupt

    run: Any = {"run_dir": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        Trainer(**options, checkpoint_seconds=1e-9).fit(
            classifier(), images(), callback=stop, **run
        )
    recorders: list[Refusing] = []
    monkeypatch.setattr(
        Stepper, "_choose_recorder", lambda self: recorders.append(Refusing(self)) or recorders[-1]
    )
    g = classifier()
    Trainer(**options).fit(g, images(), **run)
    found = torch.cat([v.detach().flatten().double() for v in g.base.state_dict().values()])
    assert torch.allclose(found, plain, rtol=0, atol=1e-5)
    assert recorders[-1].log.count("replay") > 0


def test_a_recorded_run_resumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(Stepper, "_choose_recorder", lambda self: StandIn())
    whole = trained(Trainer(**OPTIONS))
    count = [0]

    def stop(epoch: int, step: int) -> None:
        count[0] += 1
        if count[0] == 20:
            raise KeyboardInterrupt

    g, run = classifier(), {"run_dir": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        Trainer(**OPTIONS, checkpoint_seconds=1e-9).fit(g, images(), callback=stop, **run)
    again: Tensor = classifier()  # type: ignore[assignment]
    Trainer(**OPTIONS).fit(again, images(), **run)  # type: ignore[arg-type]
    state = again.base.state_dict()  # type: ignore[union-attr]
    assert torch.equal(torch.cat([v.detach().flatten().double() for v in state.values()]), whole)


def test_steps_are_recorded_on_one_gpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    from rsmooth.training import steps

    monkeypatch.setattr(steps, "CudaRecorder", lambda device: device)
    stepper = Stepper(Trainer(cuda_graphs=True), classifier(), Ranks(), "float32")
    assert stepper._choose_recorder() is None
    stepper.device = torch.device("cuda")
    assert stepper._choose_recorder() == torch.device("cuda")
    stepper.ranks = Ranks(0, 2)
    assert stepper._choose_recorder() is None
    stepper.ranks, stepper.recipe = Ranks(), Trainer()
    assert stepper._choose_recorder() is None
