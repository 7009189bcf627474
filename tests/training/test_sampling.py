"""Weighted epochs: who is drawn, how often, with which noise, and what a resumed run knows."""

from __future__ import annotations

import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rsmooth.defenses import Trainer
from rsmooth.training import Batch, EpochStart
from rsmooth.training.sampling import check_state, check_weights, occurrences
from tests.training.helpers import classifier, images

OPTIONS: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.05, "precision": "float32"}


def test_occurrences_count_who_came_before() -> None:
    assert occurrences(torch.tensor([4, 2, 4, 4, 2, 0])).tolist() == [0, 0, 1, 2, 1, 0]


def test_the_same_image_twice_gets_noise_and_crops_twice() -> None:
    seen: list[tuple[int, Tensor, Tensor]] = []

    @dataclass(frozen=True, kw_only=True)
    class One(Trainer):
        def sample_weights(self, start: EpochStart) -> Tensor:
            weights = torch.zeros(start.count)
            weights[3] = 1.0
            return weights

        def losses(self, batch: Batch) -> Tensor:
            seen.extend(zip(batch.ids.tolist(), batch.x, batch.noise, strict=True))
            return super().losses(batch)

    One(augment=True, **OPTIONS).fit(classifier(), images(), progress=False)
    assert {number for number, _, _ in seen} == {images().index[3].item()}
    assert len(seen) == 48
    assert len({x.numpy().tobytes() for _, x, _ in seen}) > 24, "of 162 crops and flips"
    assert len({noise.numpy().tobytes() for _, _, noise in seen}) == 48


def test_an_epoch_start_shows_the_images_as_they_are_and_keeps_the_state() -> None:
    states: list[Any] = []

    @dataclass(frozen=True, kw_only=True)
    class Looking(Trainer):
        def sample_weights(self, start: EpochStart) -> None:
            seen = list(start.images(copies=2, batch_size=7))
            assert torch.equal(torch.cat([part.positions for part in seen]), torch.arange(24))
            x = torch.cat([part.x for part in seen])
            assert torch.equal(x, images().images / 255)
            assert torch.equal(torch.cat([part.y for part in seen]), images().labels)
            assert seen[0].noise.shape == (7, 2, 1, 8, 8)
            assert not start.g.training
            start.state["epochs"] = [*start.state.get("epochs", []), start.epoch]
            states.append(start.state["epochs"])

    plain, looking = classifier(), classifier()
    Trainer(**OPTIONS).fit(plain, images(), progress=False)
    Looking(**OPTIONS).fit(looking, images(), progress=False)
    assert states == [[0], [0, 1]]
    for ours, theirs in zip(plain.base.parameters(), looking.base.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(("seconds", "remarks"), [(0.35, 1), (0.3, 0)])
def test_a_look_that_takes_much_of_the_budget_is_remarked_on(
    seconds: float, remarks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])

    @dataclass(frozen=True, kw_only=True)
    class Looking(Trainer):
        def sample_weights(self, start: EpochStart) -> None:
            now[0] += 100 * seconds

        def losses(self, batch: Batch) -> Tensor:
            now[0] += 100
            return super().losses(batch)

    options = {**OPTIONS, "budget_seconds": 100.0, "budget_clock": "process"}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        Looking(**options).fit(classifier(), images(), progress=False)
    said = [str(one.message) for one in found if "choosing the images" in str(one.message)]
    assert len(said) == remarks
    assert all("epoch 0 took 35 of the 100 seconds of the budget" in text for text in said)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_signal_ends_a_look_at_the_images(number: int, epoch: int, tmp_path: Path) -> None:
    """A look may take minutes; the run goes on from before it, to the same weights."""
    seen: list[int] = []

    @dataclass(frozen=True, kw_only=True)
    class Looking(Trainer):
        def sample_weights(self, start: EpochStart) -> Tensor:
            weights = torch.zeros(start.count, dtype=torch.float64)
            for looked in start.images(batch_size=8):
                seen.append(start.epoch)
                if seen == [*[0] * 3 * epoch, epoch]:  # within the first look of that epoch
                    signal.raise_signal(number)
                log_probs = start.g.log_probs(looked.x.unsqueeze(1) + looked.noise)
                right = log_probs.argmax(dim=2) == looked.y.unsqueeze(1)
                weights[looked.positions] = 1.0 + right.double().mean(dim=1)
            return weights

    stopped, whole = classifier(), classifier()
    advice = f"saved after step 0 of epoch {epoch}; call fit again"
    with pytest.raises((KeyboardInterrupt, SystemExit), match=advice):
        Looking(**OPTIONS).fit(stopped, images(), run_dir=tmp_path, progress=False)
    assert seen == [0] * 3 * epoch + [epoch]
    Looking(**OPTIONS).fit(stopped, images(), run_dir=tmp_path, progress=False)
    Looking(**OPTIONS).fit(whole, images(), progress=False)
    for ours, theirs in zip(stopped.base.parameters(), whole.base.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "weights",
    [
        torch.ones(5),
        torch.zeros(24),
        -torch.ones(24),
        torch.full((24,), float("nan")),
        torch.full((24,), float("inf")),
        torch.full((24,), 1e308, dtype=torch.float64),
    ],
    ids=["length", "zero", "negative", "nan", "infinite", "huge"],
)
def test_weights_that_are_none_are_refused(weights: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected (sample_weights to give|finite sampling)"):
        check_weights(weights, 24)


@pytest.mark.parametrize("kept", [np.ones(2), object(), lambda: 0])
def test_a_state_that_no_checkpoint_takes_is_refused(kept: object) -> None:
    check_state({"right": torch.ones(2), "since": [1, {"a": None}]})
    kind = type(kept).__name__
    with pytest.raises(ValueError, match=rf"plain values and tensors in .* got {{seen: {kind}}}"):
        check_state({"seen": kept})


def test_a_method_hears_of_its_state_in_the_first_epoch() -> None:
    class Keeping(Trainer):
        def sample_weights(self, start: EpochStart) -> Tensor | None:
            start.state["seen"] = np.ones(2)
            return None

    with pytest.raises(ValueError, match="expected sample_weights to keep plain values"):
        Keeping(**OPTIONS).fit(classifier(), images(), progress=False)
