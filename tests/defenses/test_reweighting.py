"""Reweighting: the authors' weights and noise, who is drawn, and what it is without all that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth import SmoothAdvPGD, SmoothedClassifier
from rsmooth.defenses import Reweighting, Trainer
from rsmooth.defenses.reweighting import easiness_weights, noise_on_sphere
from rsmooth.noise import Gaussian, Laplace, Uniform
from rsmooth.training import EpochStart
from tests.defenses.published import arrays, cases, network
from tests.training.helpers import classifier, images, trained, weights

SEARCHES = cases("reweighting", "radius_attack")
SHORT: dict[str, Any] = {"epochs": 3, "batch_size": 12, "lr": 0.05, "num_noise": 2}
ACTIVE: dict[str, Any] = {**SHORT, "since": 1, "dropping_copies": 20, "drop_below": 0.3, "every": 1}


def test_the_weights_are_those_of_the_authors() -> None:
    case = arrays("reweighting", "reweighting")
    found = easiness_weights(case["p_correct"], int(case["samples"]))
    torch.testing.assert_close(found, case["weight"], rtol=0, atol=1e-9, check_dtype=False)
    assert len(found.unique()) == 5


@pytest.mark.parametrize("name", SEARCHES)
def test_the_noise_is_that_of_the_authors(name: str) -> None:
    case = SEARCHES[name]
    g = SmoothedClassifier(network(case), 0.25, 5).eval().requires_grad_(False)
    options = {"step_size": float(case["step_size"]), "steps": int(case["steps"])}
    found = noise_on_sphere(g, case["x"], case["y"], case["noise"], **options)  # type: ignore[arg-type]
    torch.testing.assert_close(found, case["noise_adv"], rtol=0, atol=1e-5)
    same = case["wrong_at_start"].bool()
    assert torch.equal(found[same], case["noise"][same])
    lengths = [own.flatten(2).norm(dim=2) for own in (found, case["noise"])]
    torch.testing.assert_close(*lengths)


def test_before_its_epoch_it_is_gaussian_training() -> None:
    assert torch.equal(trained(Reweighting(since=3, **SHORT)), trained(Trainer(**SHORT)))
    assert not torch.equal(trained(Reweighting(**ACTIVE)), trained(Trainer(**SHORT)))


def test_without_its_measures_it_is_gaussian_training_with_replacement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Replacing(Trainer):
        def sample_weights(self, start: EpochStart) -> Tensor:
            return torch.ones(start.count)

    monkeypatch.setattr(
        "rsmooth.defenses.reweighting.easiness_weights",
        lambda shares, *_: torch.ones(len(shares), dtype=torch.float64),
    )
    free = Reweighting(**{**ACTIVE, "since": 0, "drop_below": 0.0, "steps": 0})
    assert torch.equal(trained(free), trained(Replacing(**SHORT)))


def test_who_was_dropped_is_never_drawn_again_and_weights_hold_for_some_epochs() -> None:
    drawn: dict[int, Any] = {}

    class Looking(Reweighting):
        def sample_weights(self, start: EpochStart) -> Tensor | None:
            weights = super().sample_weights(start)
            drawn[start.epoch] = None if weights is None else (weights.clone(), dict(start.state))
            return weights

    options = {**ACTIVE, "epochs": 7, "drop_below": 0.3, "every": 2, "lr": 0.02}
    trained(Looking(**options))
    assert drawn[0] is None
    kept = drawn[1][1]["kept"]
    assert 0 < int(kept.sum()) < 24
    for epoch in range(1, 7):
        assert torch.equal(drawn[epoch][1]["kept"], kept)
        assert torch.equal(drawn[epoch][0] > 0, kept)
    assert torch.equal(drawn[1][0], drawn[2][0])
    assert drawn[1][1]["next"] == drawn[2][1]["next"] == 3
    assert drawn[3][1]["next"] == drawn[4][1]["next"] == 5


@pytest.mark.parametrize("stop", [(1, 1), (2, 1)])
def test_a_resumed_run_knows_who_was_dropped(stop: tuple[int, int], tmp_path: Path) -> None:
    whole = trained(Reweighting(**ACTIVE))

    def end(epoch: int, step: int) -> None:
        if (epoch, step) == stop:
            raise KeyboardInterrupt

    active = Reweighting(checkpoint_seconds=1e-9, **ACTIVE)
    with pytest.raises(KeyboardInterrupt):
        active.fit(classifier(), images(), run_dir=tmp_path, progress=False, callback=end)
    g = classifier()
    active.fit(g, images(), run_dir=tmp_path, progress=False)
    assert torch.equal(weights(g), whole)


def test_noise_is_attacked_from_the_first_step_of_that_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "rsmooth.defenses.reweighting.noise_on_sphere", lambda g, x, y, noise, **_: noise + 1
    )
    for progress, moved in ((0.99, 0.0), (1.0, 1.0)):
        batch: Any = SimpleNamespace(
            g=None, x=torch.zeros(1, 1), y=torch.zeros(1).long(), noise=torch.zeros(1, 4, 1)
        )
        points: list[torch.Tensor] = []
        batch.log_probs = lambda at, seen=points: (seen.append(at), torch.zeros(1, 4, 2))[1]
        batch.progress = progress
        Reweighting(since=1).losses(batch)
        assert float(points[0].mean()) == moved


def test_options_out_of_range_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected no attack for Reweighting, got PGD"):
        Reweighting(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    for name in ("since", "drop_below", "dropping_copies", "every", "steps", "step_size"):
        with pytest.raises(ValueError, match=f"expected {name} to be .*, got -1"):
            Reweighting(**{name: -1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected weighting_copies by which a share of 3/4 has"):
        Reweighting(weighting_copies=2)
    monkeypatch.setattr("rsmooth.defenses.reweighting._shares", lambda *_: torch.zeros(24))
    with pytest.raises(ValueError, match="expected images of which a share of 1 of the copies"):
        trained(Reweighting(**{**ACTIVE, "drop_below": 1.0}))


def test_noise_without_such_radii_is_refused_before_the_first_step() -> None:
    for noise in (Laplace(0.2), Uniform(0.5)):
        with pytest.raises(ValueError, match=r"expected Gaussian noise for Reweighting, .* got "):
            Reweighting().check_noise(noise)
    Reweighting().check_noise(Gaussian(0.25))


def test_every_number_of_copies_counts_the_right_ones() -> None:
    """31 of 39 was 30 once: the product of a rounded share and 39 is below 31."""
    for copies in range(8, 201):
        right = torch.arange(-(-3 * copies // 4), copies + 1)
        found = easiness_weights(right.double() / copies, copies)
        wanted = [easiness_weights(torch.tensor([(k + 0.01) / copies]), copies) for k in right[:-1]]
        assert torch.equal(found[:-1], torch.cat(wanted))
