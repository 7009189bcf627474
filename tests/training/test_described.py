"""What two runs are compared by, and runs that an earlier version began."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth.defenses import Stability, Trainer
from rsmooth.plumbing.errors import RecordError
from rsmooth.training.described import ADDED, describe, described_defaults
from tests.training.helpers import classifier, images, weights

OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "precision": "float32"}


def test_what_changes_the_result_is_in_and_the_rest_is_not() -> None:
    told = describe(Trainer())
    assert told["trainer"] == "Trainer"
    assert told["lr"] == 0.1
    assert not {"workers", "tensorboard", "cuda_graphs", "checkpoint_seconds"} & set(told)
    assert described_defaults(Trainer()) == {name: told[name] for name in ADDED}


def begin(folder: Path, trainer: Trainer) -> None:
    """A run that stops in its second epoch, with the checkpoint of a version before this one."""

    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(classifier(), images(), run_dir=folder, callback=stop, progress=False)
    state = torch.load(folder / "checkpoint.pt", weights_only=True)
    for key in (*ADDED, "computes"):
        state["config"].pop(key, None)
    for key in ("sampling", "average"):
        state.pop(key)
    torch.save(state, folder / "checkpoint.pt")


def test_a_run_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    whole, again = classifier(), classifier()
    Trainer(**OPTIONS).fit(whole, images(), progress=False)
    begin(tmp_path, Trainer(**OPTIONS, checkpoint_seconds=1e-9))
    Trainer(**OPTIONS).fit(again, images(), run_dir=tmp_path, progress=False)
    assert torch.equal(weights(again), weights(whole))


def test_but_not_with_an_option_that_it_did_not_have(tmp_path: Path) -> None:
    begin(tmp_path, Trainer(**OPTIONS, checkpoint_seconds=1e-9))
    with pytest.raises(RecordError, match="optimizer was 'sgd' and is 'adam'"):
        Trainer(**OPTIONS, optimizer="adam").fit(classifier(), images(), run_dir=tmp_path)


def test_nor_a_method_that_computes_something_else_since(tmp_path: Path) -> None:
    begin(tmp_path, Stability(**OPTIONS, checkpoint_seconds=1e-9))
    with pytest.raises(RecordError, match=r"computes was .* and is 'clean and noisy images in two"):
        Stability(**OPTIONS).fit(classifier(), images(), run_dir=tmp_path)
