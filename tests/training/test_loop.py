"""The training loop: equal to a plain one, no image lost, budgets, validation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.noise.distributions import Gaussian
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.checkpoint import RunFolder
from rsmooth.training.draws import Draws
from tests.training.helpers import classifier, images, trained, weights

ATTACK = SmoothAdvPGD(epsilon=0.5, steps=2)


def test_equals_a_plain_loop_written_from_the_published_recipe() -> None:
    """One order, one noise tensor for attack and loss, m steps per batch, decay on all weights."""
    trainer = Trainer(
        attack=ATTACK,
        num_noise=2,
        epochs=3,
        batch_size=10,
        lr=0.05,
        lr_step_epochs=2,
        warmup_epochs=2,
    )
    data, g = images(), classifier()
    base, draws = g.base.train(), Draws(0)
    sgd = torch.optim.SGD(base.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    for epoch in range(3):
        sgd.param_groups[0]["lr"] = [0.05, 0.05, 0.005][epoch]
        attack = SmoothAdvPGD(epsilon=[0.25, 0.5, 0.5][epoch], steps=2)
        for positions in draws.order(24, epoch).split(10):
            for half in positions.tensor_split(2):
                x, y = data.images[half].float() / 255, data.labels[half]
                noise = draws.noise(data.index[half], epoch, 2, x.shape[1:], Gaussian(0.25))
                x_adv = attack(g, x, y, noise=noise)
                loss = cross_entropy(
                    base((x_adv.unsqueeze(1) + noise).flatten(0, 1)), y.repeat_interleave(2)
                )
                sgd.zero_grad()
                loss.backward()
                sgd.step()
    assert torch.allclose(trained(trainer), weights(g), atol=1e-5)


@pytest.mark.parametrize(
    ("count", "batch_size", "m", "steps"),
    [(24, 8, 1, 3), (24, 8, 2, 6), (10, 4, 3, 8), (5, 4, 4, 5)],
)
def test_m_steps_per_batch_and_no_image_dropped(
    count: int, batch_size: int, m: int, steps: int
) -> None:
    calls: list[tuple[int, int]] = []
    trainer = Trainer(num_noise=m, epochs=2, batch_size=batch_size, lr=0.01)
    history = trainer.fit(
        classifier(), images(count), progress=False, callback=lambda *at: calls.append(at)
    )
    assert calls == [(epoch, step + 1) for epoch in range(2) for step in range(steps)]
    assert [(row["images"], row["steps"]) for row in history] == [(count, steps)] * 2


def test_a_time_budget_ends_training_and_stretches_the_schedules_over_it() -> None:
    trainer = Trainer(
        attack=ATTACK,
        budget_seconds=0.4,
        epochs=10,
        warmup_epochs=5,
        batch_size=12,
        lr=0.1,
        schedule="one-cycle",
    )
    history = trainer.fit(classifier(), images(), progress=False)
    assert 0.4 <= history[-1]["seconds"] < 1.4  # one step more than the budget, generously
    assert history[0]["epsilon"] < history[-1]["epsilon"] == 0.5
    assert history[-1]["lr"] < 0.01 < max(row["lr"] for row in history)


@pytest.mark.parametrize("options", [{}, {"budget_seconds": 0.3}])
def test_progress_in_a_file_is_a_line_at_each_end(
    options: dict[str, float], capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(epochs=30, batch_size=24, **options).fit(classifier("mlp"), images())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("%")[0].strip() for line in lines] == ["0", "100"]
    assert "accuracy=" in lines[1]


def test_a_wall_clock_budget_counts_waiting_too() -> None:
    import time

    trainer = Trainer(budget_seconds=0.2, budget_clock="wall", batch_size=12)
    history = trainer.fit(
        classifier(), images(), progress=False, callback=lambda *_: time.sleep(0.05)
    )
    assert sum(row["steps"] for row in history) <= 5


def test_validation_is_noisy_accuracy_and_best_is_kept(tmp_path: Any) -> None:
    from rsmooth.smoothed import SmoothedClassifier

    g, data = classifier(), images(30, seed=1)
    history = Trainer(epochs=6, batch_size=12, lr=0.1).fit(
        g, images(), validation=data, run_dir=tmp_path, progress=False
    )
    noise = Draws(0, 2).noise(data.index, 0, 1, data.images.shape[1:], Gaussian(0.25))
    last = SmoothedClassifier.load(tmp_path / "model.pt")
    right = (
        (last.log_probs(data.images.float()[:, None] / 255 + noise).argmax(2)[:, 0] == data.labels)
        .float()
        .mean()
    )
    assert math.isclose(float(right), history[-1]["validation_accuracy"], abs_tol=1e-6)
    best = SmoothedClassifier.load(tmp_path / "best.pt")
    right = (
        (best.log_probs(data.images.float()[:, None] / 255 + noise).argmax(2)[:, 0] == data.labels)
        .float()
        .mean()
    )
    assert math.isclose(
        float(right), max(row["validation_accuracy"] for row in history), abs_tol=1e-6
    )
    assert torch.equal(weights(last), weights(g))


@pytest.mark.parametrize(("length", "rows"), [({"epochs": 5}, 5), ({"budget_seconds": 0.3}, None)])
def test_validation_and_checkpoint_every_other_epoch_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: dict[str, Any], rows: int | None
) -> None:
    saved: list[int] = []
    save = RunFolder.save

    def counted(folder: RunFolder, state: dict[str, Any]) -> None:
        saved.append(state["epoch"])
        save(folder, state)

    monkeypatch.setattr(RunFolder, "save", counted)
    g = classifier()
    history = Trainer(batch_size=12, validate_every=2, **length).fit(
        g, images(), validation=images(seed=1), run_dir=tmp_path, progress=False
    )
    ends = [row["epoch"] + 1 for row in history if "validation_accuracy" in row]
    last = len(history)
    assert rows in (None, last)
    assert ends == saved == sorted({*range(2, last + 1, 2), last})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == history
    plain = classifier()
    if rows:
        Trainer(batch_size=12, **length).fit(plain, images(), progress=False)
        assert torch.equal(g.base.state_dict()["1.0.weight"], plain.base.state_dict()["1.0.weight"])


def test_a_hook_gets_the_metrics_of_each_epoch(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []

    def hook(row: dict[str, Any]) -> str:
        rows.append(dict(row))
        row.clear()  # its own copy
        return "anything but True"

    trainer = Trainer(epochs=3, batch_size=12)
    held_out = images(9, seed=1)
    run: dict[str, Any] = {"validation": held_out, "run_dir": tmp_path, "progress": False}
    history = trainer.fit(classifier(), images(), on_epoch=hook, **run)
    assert rows == history
    written = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["validation_accuracy"] for row in written] == [
        row["validation_accuracy"] for row in rows
    ]
    plain = classifier()
    trainer.fit(plain, images(), validation=held_out, progress=False)
    again = classifier()
    trainer.fit(again, images(), validation=held_out, progress=False, on_epoch=rows.append)
    assert torch.equal(weights(plain), weights(again)), "a hook changes no result"


@pytest.mark.parametrize("yes", [True, np.bool_(True)])
@pytest.mark.parametrize("validate_every", [1, 5])
def test_a_hook_ends_training_cleanly_and_it_can_go_on(
    tmp_path: Path, yes: object, validate_every: int
) -> None:
    trainer = Trainer(epochs=4, batch_size=12, validate_every=validate_every)
    run: dict[str, Any] = {"run_dir": tmp_path, "progress": False}
    g = classifier()
    history = trainer.fit(g, images(), on_epoch=lambda row: row["epoch"] == 1 and yes, **run)
    assert [row["epoch"] for row in history] == [0, 1]
    assert not g.training
    saved = SmoothedClassifier.load(tmp_path / "model.pt")
    assert torch.equal(weights(saved), weights(g))
    seen: list[object] = []
    resumed, whole = classifier(), classifier()
    trainer.fit(resumed, images(), on_epoch=lambda row: seen.append(row["epoch"]), **run)
    trainer.fit(whole, images(), progress=False)
    assert seen == [2, 3]
    assert torch.equal(weights(resumed), weights(whole))


def test_an_error_of_a_hook_ends_the_run_after_its_checkpoint(tmp_path: Path) -> None:
    class Pruned(Exception):  # noqa: N818 (no fault)
        pass

    def hook(row: dict[str, Any]) -> None:
        if row["epoch"] == 1:
            raise Pruned

    with pytest.raises(Pruned):
        Trainer(epochs=3, batch_size=12).fit(
            classifier(), images(), run_dir=tmp_path, progress=False, on_epoch=hook
        )
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2
    history = Trainer(epochs=3, batch_size=12).fit(
        classifier(), images(), run_dir=tmp_path, progress=False
    )
    assert [row["epoch"] for row in history] == [0, 1, 2]
