"""The moving average of the weights: its definition, and that it is what is kept."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.defenses import Trainer
from rsmooth.plumbing.errors import RecordError
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.averaging import MovingAverage
from tests.training.helpers import classifier, images, weights

OPTIONS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 12,
    "lr": 0.1,
    "warmup_epochs": 0,
    "precision": "float32",
}
RUN: dict[str, Any] = {"progress": False}


class Keeping(nn.Module):
    """A base that keeps a lock and its last activations."""

    def __init__(self) -> None:
        super().__init__()
        self.lock, self.last = threading.Lock(), torch.empty(0)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        with self.lock:
            self.last = self.head(x.flatten(1))
            return self.last


def test_a_base_that_keeps_things_is_averaged() -> None:
    g = SmoothedClassifier(Keeping(), sigma=0.25, num_classes=3)
    g.log_probs(torch.ones(1, 1, 1, 8, 8))
    Trainer(**OPTIONS, ema_decay=0.3).fit(g, images(), **RUN)
    assert bool(weights(g).isfinite().all())


def test_buffers_are_averaged_too() -> None:
    """With a decay of 2/11 after the first, which is copied."""
    g = classifier()
    average = MovingAverage(g, decay=0.9)
    for value in (1.0, 2.0):
        for name, buffer in g.base.named_buffers():
            if name.endswith("running_mean"):
                buffer.fill_(value)
        average.update(g.base)
    means = [own for name, own in average.g.base.named_buffers() if name.endswith("running_mean")]
    assert means
    for mean in means:
        torch.testing.assert_close(mean, torch.full_like(mean, (2 * 1.0 + 9 * 2.0) / 11))


def test_it_is_the_definition_step_by_step() -> None:
    """From the weights after the first step on, with a decay that grows from 2/11 to 0.3."""
    g, seen = classifier("mlp"), list[Tensor]()
    Trainer(**OPTIONS).fit(g, images(), callback=lambda *_: seen.append(weights(g)), **RUN)
    average = seen[0]
    for done, later in enumerate(seen[1:], start=1):
        decay = min(0.3, (1 + done) / (10 + done))
        average = decay * average + (1 - decay) * later
    assert len(seen) > 5  # (1 + t) / (10 + t) is above 0.3 from t = 3 on
    averaged = classifier("mlp")
    Trainer(**OPTIONS, ema_decay=0.3).fit(averaged, images(), **RUN)
    assert torch.allclose(weights(averaged), average, atol=1e-6)
    assert not torch.allclose(weights(averaged), seen[-1], atol=1e-3)


def test_it_is_what_is_validated_and_saved(tmp_path: Path) -> None:
    g = classifier()
    history = Trainer(**OPTIONS, ema_decay=0.5).fit(
        g, images(), validation=images(seed=5), run_dir=tmp_path, **RUN
    )
    kept = SmoothedClassifier.load(tmp_path / "model.pt")
    assert torch.equal(weights(kept), weights(g))
    best = [row["validation_accuracy"] for row in history]
    saved = SmoothedClassifier.load(tmp_path / "best.pt")
    if best.index(max(best)) == len(best) - 1:
        assert torch.equal(weights(saved), weights(g))


def test_a_run_with_it_resumes_to_the_same_bits_also_when_it_was_done(tmp_path: Path) -> None:
    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    whole = classifier()
    Trainer(**OPTIONS, ema_decay=0.7).fit(whole, images(), **RUN)
    options = {**OPTIONS, "ema_decay": 0.7}
    with pytest.raises(KeyboardInterrupt):
        Trainer(**options, checkpoint_seconds=1e-9).fit(
            classifier(), images(), run_dir=tmp_path, callback=stop, **RUN
        )
    for _ in range(2):  # the second time there is nothing left to do
        again = classifier()
        Trainer(**options).fit(again, images(), run_dir=tmp_path, **RUN)
        assert torch.equal(weights(again), weights(whole))


def test_a_run_with_the_former_rule_is_refused(tmp_path: Path) -> None:
    options = {**OPTIONS, "ema_decay": 0.7}
    Trainer(**options).fit(classifier(), images(), run_dir=tmp_path, **RUN)
    path = tmp_path / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    assert "(1 + t) / (10 + t)" in saved["config"].pop("average")
    torch.save(saved, path)
    with pytest.raises(RecordError, match=r"average was \(nothing\) and is .*1 \+ t"):
        Trainer(**options).fit(classifier(), images(), run_dir=tmp_path, **RUN)
