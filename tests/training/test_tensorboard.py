"""The metrics for TensorBoard, or the reason why not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from rsmooth.defenses import Trainer
from tests.training.helpers import classifier, images


def test_tensorboard_that_is_not_installed_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(
        ImportError, match=r"expected the package tensorboard .* install rsmooth\[tensorboard\]"
    ):
        Trainer(tensorboard=True)


def test_tensorboard_gets_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = Trainer(epochs=2, batch_size=24, tensorboard=True)
    history = trainer.fit(classifier(), images(), run_dir=tmp_path, progress=False)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.value for event in events.Scalars("train_loss")] == pytest.approx(
        [row["train_loss"] for row in history]
    )
    with pytest.raises(ValueError, match="expected a run_dir for tensorboard=True"):
        trainer.fit(classifier(), images())
