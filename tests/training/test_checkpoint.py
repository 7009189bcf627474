"""A run that is stopped and resumed is the run that was never stopped, bit for bit."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.plumbing.errors import LockedError, RecordError, on_command_line
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import setup as engine
from tests.processes import PROCESSES
from tests.training.helpers import classifier, images, weights

OPTIONS: dict[str, Any] = {
    "attack": SmoothAdvPGD(epsilon=0.5, steps=2),
    "num_noise": 2,
    "epochs": 4,
    "batch_size": 12,
    "lr": 0.05,
    "lr_step_epochs": 2,
    "warmup_epochs": 2,
    "checkpoint_seconds": 1e-9,
}
STEPS = 16
HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # the end of a terminal, where there are such
TIMELESS = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "epsilon",
    "lr",
    "images",
    "steps",
    "validation_accuracy",
)


class Stop(Exception):  # noqa: N818
    pass


def stop_at(step: int) -> Any:
    left = [step]

    def callback(epoch: int, at: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise Stop

    return callback


def run(
    folder: Path | None, callback: Any = None, g: SmoothedClassifier | None = None, **changed: Any
) -> Tensor:
    g = g or classifier()
    Trainer(**{**OPTIONS, **changed}).fit(
        g, images(), validation=images(9, seed=1), run_dir=folder, progress=False, callback=callback
    )
    return weights(g)


def rows(folder: Path) -> list[tuple[Any, ...]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [tuple(line[name] for name in TIMELESS) for line in lines]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Path]:
    folder = tmp_path_factory.mktemp("unbroken")
    return run(folder), folder


@pytest.mark.parametrize("step", [1, 5, 8, 13, STEPS])
def test_resumed_in_the_midst_of_an_epoch_equals_unbroken_bitwise(
    step: int, tmp_path: Path, unbroken: tuple[Tensor, Path]
) -> None:
    with pytest.raises(Stop):
        run(tmp_path, stop_at(step))
    # The callback stops the step before its checkpoint.
    assert (tmp_path / "checkpoint.pt").exists() == (step > 1)
    assert torch.equal(run(tmp_path), unbroken[0])
    assert rows(tmp_path) == rows(unbroken[1])


def test_a_resumed_run_does_not_do_its_steps_again(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path, stop_at(6))
    calls: list[tuple[int, int]] = []
    run(tmp_path, lambda *at: calls.append(at))
    assert len(calls) == STEPS - 5
    calls.clear()
    run(tmp_path, lambda *at: calls.append(at))
    assert not calls  # finished already
    run(None, lambda *at: calls.append(at))
    assert len(calls) == STEPS


def die(folder: Path, threads: int) -> None:
    """What a process does that is killed in its seventh step."""
    torch.set_num_threads(threads)
    left = [7]

    def count(epoch: int, step: int) -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    run(folder, count)


def test_killed_and_resumed_equals_unbroken_bitwise(
    tmp_path: Path, unbroken: tuple[Tensor, Path]
) -> None:
    process = PROCESSES.Process(target=die, args=(tmp_path, torch.get_num_threads()))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert torch.equal(run(tmp_path), unbroken[0])
    assert rows(tmp_path) == rows(unbroken[1])


@pytest.mark.parametrize(
    ("number", "error", "where", "how"),
    [
        (signal.SIGTERM, SystemExit, on_command_line, "give the same command again"),
        (HANGUP, SystemExit, on_command_line, "give the same command again"),
        (signal.SIGINT, KeyboardInterrupt, nullcontext, "call fit again with run_dir="),
    ],
)
def test_a_signal_saves_at_the_end_of_the_step_and_says_how_to_go_on(
    number: int,
    error: type[BaseException],
    where: Callable[[], AbstractContextManager[None]],
    how: str,
    tmp_path: Path,
    unbroken: tuple[Tensor, Path],
) -> None:
    def send(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 3):
            os.kill(os.getpid(), number)

    started = signal.getsignal(HANGUP)
    signal.signal(HANGUP, signal.SIG_DFL)  # which nohup may have changed
    before = signal.getsignal(number)
    with where(), pytest.raises(error, match=f"saved after step 3 of epoch 1; {how}"):
        run(tmp_path, send, checkpoint_seconds=1e9)
    assert signal.getsignal(number) is before
    signal.signal(HANGUP, started)
    assert torch.equal(run(tmp_path), unbroken[0])


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_signal_after_the_last_step_acts_when_all_is_written(
    number: int, error: type[BaseException], tmp_path: Path
) -> None:
    """Or a loop over trainings, and an arm whose time is up, would go on to what comes next."""

    def send(row: Any) -> None:
        os.kill(os.getpid(), number)

    trainer, g = Trainer(epochs=1, batch_size=12), classifier()
    with pytest.raises(error, match="stopped once the training had ended and was saved"):
        trainer.fit(g, images(), run_dir=tmp_path, progress=False, on_epoch=send)
    kept = SmoothedClassifier.load(tmp_path / "model.pt")
    assert torch.equal(weights(kept), weights(g))


def test_a_run_stopped_by_its_last_second_ends_its_epoch_when_it_goes_on(tmp_path: Path) -> None:
    """Its time budget is used up then, so no step is left to lead to the end of the epoch."""

    def last(epoch: int, step: int) -> None:
        time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    trainer = Trainer(budget_seconds=0.02, budget_clock="wall", batch_size=12)
    found = []
    for callback, error in ((last, pytest.raises(KeyboardInterrupt)), (None, nullcontext())):
        with error:
            found = trainer.fit(
                classifier(),
                images(),
                validation=images(9, seed=1),
                run_dir=tmp_path,
                progress=False,
                callback=callback,
            )
    assert [(row["epoch"], row["steps"]) for row in found] == [(0, 1)]
    assert "validation_accuracy" in found[0]
    assert len(rows(tmp_path)) == 1
    assert (tmp_path / "best.pt").exists()


def test_random_layers_resume_too(tmp_path: Path) -> None:
    def dropping() -> SmoothedClassifier:
        g = classifier("mlp")
        g.base.register_forward_hook(
            lambda module, inputs, output: nn.functional.dropout(output, 0.3, module.training)
        )
        return g

    whole = run(None, g=dropping(), fold_attack=False)
    with pytest.raises(Stop):
        run(tmp_path, stop_at(6), g=dropping(), fold_attack=False)
    assert torch.equal(run(tmp_path, g=dropping(), fold_attack=False), whole)


def test_another_configuration_is_refused_by_naming_what_differs(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    with pytest.raises(
        ValueError, match=r"attack.epsilon was 0.5 and is 0.25; lr was 0.05 and is 0.1. Choose"
    ):
        run(tmp_path, epochs=1, lr=0.1, attack=SmoothAdvPGD(epsilon=0.25, steps=2))
    with pytest.raises(RecordError, match=r"sigma was 0.25 and is 0.5"):
        run(tmp_path, epochs=1, g=classifier(sigma=0.5))
    run(tmp_path, epochs=1, checkpoint_seconds=5.0)  # decides nothing about the result


def test_resume_false_starts_anew(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    g = classifier()
    history = Trainer(**{**OPTIONS, "epochs": 2}).fit(
        g, images(), run_dir=tmp_path, resume=False, progress=False
    )
    assert [row["epoch"] for row in history] == [0, 1]
    # That of the earlier run, whose options were others.
    assert not (tmp_path / "best.pt").exists()


def test_a_run_begun_anew_leaves_no_model_of_another_when_it_is_stopped(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(Stop):
        run(tmp_path, stop_at(1), epochs=2)
    assert (tmp_path / "model.pt").exists()  # nothing is written yet
    with pytest.raises(Stop):
        run(tmp_path, stop_at(2), epochs=2)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.pt", "metrics.jsonl"]


def changed(**parts: Any) -> Any:
    return lambda path: torch.save({**torch.load(path, weights_only=True), **parts}, path)


def without(part: str) -> Any:
    return lambda path: torch.save(
        {key: value for key, value in torch.load(path).items() if key != part}, path
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: torch.save({"weights": 1}, path), "got something else"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "got a file that is damaged"),
        (lambda path: path.write_bytes(b""), "got a file that is damaged"),
        (without("history"), "does not fit .KeyError: 'history'"),
        (without("precision"), "got something else"),
        (changed(config=3), "got something else"),
        (changed(model=None), "does not fit .ValueError: expected a state dict"),
        (changed(optimizer=[]), "does not fit .(AttributeError|TypeError)"),
        (changed(model={}), "does not fit .ValueError: expected weights that fit"),
        (changed(optimizer={"state": {}, "param_groups": []}), "does not fit .ValueError"),
        (changed(totals=torch.zeros(3)), "does not fit .RuntimeError"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused_by_name(
    damage: Any, said: str, tmp_path: Path
) -> None:
    run(tmp_path, epochs=1)
    damage(tmp_path / "checkpoint.pt")
    with pytest.raises(
        RecordError, match=rf"expected a training checkpoint in .*checkpoint\.pt, .*{said}"
    ):
        run(tmp_path, epochs=1)


def test_two_runs_do_not_train_into_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.0)
    refused = []

    def meanwhile(epoch: int, step: int) -> None:
        if step == 2:
            with pytest.raises(LockedError, match=f"process {os.getpid()} is writing") as locked:
                run(tmp_path, epochs=1)
            refused.append(locked)

    whole = run(tmp_path, meanwhile, epochs=1)
    assert len(refused) == 1
    assert torch.equal(run(tmp_path, epochs=1), whole)
    assert not list(tmp_path.glob("*.lock"))


def test_numbers_of_numpy_resume_too(tmp_path: Path) -> None:
    """As from np.linspace over epsilons; a checkpoint itself takes plain values only."""

    class Slow(Trainer):
        def epsilon_at(self, progress: float) -> float:
            return np.float64(0.5) * super().epsilon_at(progress)

    def trainer(kind: Any) -> Trainer:
        return Slow(
            attack=SmoothAdvPGD(epsilon=kind(0.5), steps=1, step_size=kind(0.25)),
            epochs=2,
            batch_size=12,
            lr=kind(0.0625),
            momentum=kind(0.5),
            ema_decay=kind(0.5),
        )

    whole = weights_of(trainer(float), None)
    for kind in (np.float64, np.float32):
        folder = tmp_path / kind.__name__
        assert torch.equal(weights_of(trainer(kind), folder), whole)
        assert torch.equal(weights_of(trainer(float), folder), whole)


def weights_of(trainer: Trainer, folder: Path | None) -> Tensor:
    g = classifier()
    trainer.fit(g, images(), run_dir=folder, progress=False)
    return weights(g)


@pytest.mark.skipif(os.name == "nt", reason="keeps a folder with an open file in place")
def test_a_run_whose_folder_was_moved_away_writes_into_no_other(
    tmp_path: Path, unbroken: tuple[Tensor, Path]
) -> None:
    """Or it would train on into a folder that is new, or that of another run."""
    place, moved = tmp_path / "run", tmp_path / "moved"

    def move(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 3):
            place.rename(moved)
            place.mkdir()

    with pytest.raises(LockedError, match="stay where it was, but its folder was moved"):
        run(place, move)
    assert not list(place.iterdir())
    place.rmdir()
    moved.rename(place)
    assert torch.equal(run(place), unbroken[0])
