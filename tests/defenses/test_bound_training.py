"""Learning a worst case: published numbers, the schedules, validation, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.attacks import PGD
from rsmooth.bounds import margin_bounds, pixel_box
from rsmooth.defenses import (
    BoundTraining,
    CrownIbpTraining,
    IntervalTraining,
    MtlIbp,
    PseudoLabels,
    Sabr,
    TrainingCollapsed,
    WongKolter,
)
from rsmooth.defenses.bound_training import proven
from rsmooth.noise import Gaussian
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import metrics
from tests.bounds import oracles
from tests.defenses.bounded import batch_of, parameter_gradients
from tests.training.helpers import classifier, images, trained, weights

METHODS = (IntervalTraining, CrownIbpTraining, MtlIbp, Sabr, WongKolter)
# Epsilon grows along a line from epoch 0 to 1, and has no penalties.
LINE: dict[str, Any] = {"warmup_from": 0, "warmup_epochs": 1, "warmup_per": "step"}
PLAIN: dict[str, Any] = {**LINE, "regularizer_weight": 0.0, "epochs": 2}
SHORT: dict[str, Any] = {"epochs": 3, "batch_size": 12, "warmup_from": 0, "warmup_epochs": 1}


@pytest.mark.parametrize("name", oracles.NETS)
def test_the_mixed_loss_is_the_published_one(name: str) -> None:
    """Kappa 0.75 and beta 0.5 of the oracle: halfway from 1 to 0.5, and from 1 to 0."""
    epsilon, kappa, beta, loss = oracles.expected(f"{name}/mixed_loss").tolist()
    assert (kappa, beta) == (0.75, 0.5)
    trainer = CrownIbpTraining(
        epsilon=2 * epsilon, kappa_start=1.0, kappa_end=0.5, beta_end=0.0, **PLAIN
    )
    batch = batch_of(oracles.network(name), *oracles.images(name), progress=0.5)
    assert trainer.losses(batch).mean().item() == pytest.approx(loss, rel=1e-9)
    noted = {key: value[0].item() for key, value in batch.notes.items() if key in ("kappa", "beta")}
    assert noted == {"kappa": 0.75, "beta": 0.5}


@pytest.mark.parametrize("name", oracles.NETS)
@pytest.mark.parametrize(
    ("kind", "method"),
    [(IntervalTraining, "ibp"), (CrownIbpTraining, "crown_ibp"), (WongKolter, "fastlin")],
)
def test_the_gradient_of_the_worst_case_is_the_published_one(
    name: str, kind: type[BoundTraining], method: str
) -> None:
    epsilon = float(oracles.ARRAYS["eps"][2])
    trainer = kind(epsilon=epsilon, clip_box=True, **PLAIN)
    batch = batch_of(oracles.network(name), *oracles.images(name), progress=1.0)
    found = parameter_gradients(trainer, batch)
    keys = [key for key in oracles.ARRAYS if key.startswith(f"{name}/grad_{method}/")]
    assert len(keys) == 2
    for key in keys:
        oracles.assert_equal(found[key.rpartition("/")[2]], key)


@pytest.mark.parametrize("kind", METHODS)
def test_before_epsilon_grows_the_worst_case_is_the_clean_loss(kind: type[BoundTraining]) -> None:
    net, (x, y) = oracles.network("plain"), oracles.images("plain")
    trainer = kind(epsilon=0.1, l1_weight=0.0, **{**PLAIN, "warmup_from": 1, "warmup_epochs": 2})
    found = trainer.losses(batch_of(net, x, y, progress=0.7))
    torch.testing.assert_close(found, cross_entropy(net(x), y, reduction="none"))


def test_clean_logits_and_bounds_are_of_one_pass_with_one_batch_norm() -> None:
    net, (x, y) = oracles.network("resnet8").train(), oracles.images("resnet8")
    once = oracles.network("resnet8").train()
    logits = once(x)
    batch = batch_of(net, x, y)
    done = batch.bounds(pixel_box(x, float(oracles.ARRAYS["eps"][2])))
    oracles.assert_equal(done.logits, "resnet8/train_mode_logits")
    oracles.assert_equal(done.margins(y, "ibp"), "resnet8/train_mode_ibp_margin")
    done.margins(y, "crown-ibp")
    assert batch.first_log_probs is not None
    torch.testing.assert_close(batch.first_log_probs[:, 0], logits.log_softmax(1))
    moved, expected = net.state_dict(), once.state_dict()
    assert int(moved["1.bn1.num_batches_tracked"]) == 1
    for key in moved:
        torch.testing.assert_close(moved[key], expected[key])


@pytest.mark.parametrize("kind", METHODS)
def test_a_step_of_every_method_moves_running_statistics_once(kind: type[BoundTraining]) -> None:
    net, (x, y) = oracles.network("resnet8").train(), oracles.images("resnet8")
    trainer = kind(epsilon=0.02, **LINE, epochs=2)
    trainer.losses(batch_of(net, x, y, progress=0.5))
    counters = [own for key, own in net.state_dict().items() if key.endswith("batches_tracked")]
    assert {int(counter) for counter in counters} == {1}
    once = oracles.network("resnet8").train()
    once(x)
    torch.testing.assert_close(net.state_dict(), once.state_dict())


def test_epsilon_kappa_and_penalties_follow_the_ramp() -> None:
    trainer = IntervalTraining(
        epsilon=0.1,
        kappa_start=1.0,
        kappa_end=0.5,
        **{**SHORT, "epochs": 4, "warmup_epochs": 3, "warmup_from": 1},
    )
    history = trainer.fit(classifier(sigma=0.0), images(), progress=False)
    # Before the ramp, in it, and after it; kappa is the mean of the epoch's two steps.
    assert [row["epsilon"] for row in history][::3] == [0.0, 0.1]
    kappas = [float(row["train_kappa"]) for row in history]
    assert kappas[0] == 1.0
    assert kappas[0] > kappas[1] > kappas[2] > kappas[3] == 0.5
    first, last = history[0], history[-1]
    assert float(first["train_loss"]) > float(first["train_bound_loss"])  # the penalties
    assert {"train_certified_accuracy", "train_accuracy"} <= set(last)


def test_the_l1_penalty_is_of_weights_and_not_of_biases_or_batch_norm() -> None:
    net, (x, y) = oracles.network("resnet8"), oracles.images("resnet8")
    with_it, without = (
        IntervalTraining(epsilon=0.02, l1_weight=weight, **PLAIN).losses(
            batch_of(net, x, y, progress=1.0)
        )
        for weight in (0.25, 0.0)
    )
    size = sum(own.abs().sum() for own in net.parameters() if own.ndim > 1)
    torch.testing.assert_close(with_it - without, (0.25 * size).expand(len(x)))


def test_what_is_proven_leaves_the_label_itself_out() -> None:
    margins = torch.tensor([[0.0, 0.1, 2.0], [0.0, -0.1, 1.0], [1.0, 0.0, 0.0]])
    assert proven(margins, torch.tensor([0, 0, 1])).tolist() == [True, False, False]


@pytest.mark.parametrize("kind", METHODS)
def test_validation_picks_by_certified_accuracy_after_the_ramp(
    kind: type[BoundTraining], tmp_path: Path
) -> None:
    seen: list[int] = []

    def look(epoch: int, step: int) -> None:
        if (tmp_path / "best.pt").exists():
            seen.append(epoch)

    g, held_out = classifier(sigma=0.0), images(18, seed=5)
    options = {**SHORT, "epochs": 4, "warmup_epochs": 2, "certified_images": 12, "l1_weight": 0.0}
    history = kind(epsilon=0.05, **options).fit(
        g, images(), validation=held_out, run_dir=tmp_path, progress=False, callback=look
    )
    certified = [row.get("validation_certified_accuracy") for row in history]
    assert certified[:2] == [None, None]
    assert min(seen) == 3  # the first epoch after the one at whose end it is written
    best = SmoothedClassifier.load(tmp_path / "best.pt").eval()
    first = held_out.subset(range(12))
    x, y = first.images.float() / 255, first.labels
    margins = margin_bounds(
        best.base,
        x,
        y,
        epsilon=0.05,
        method=kind.certifies_by,
        clip=None if kind is WongKolter else (0.0, 1.0),
    )
    share = proven(margins, y).double().mean().item()
    assert share == max(float(value) for value in certified[2:] if value is not None)


def test_a_run_that_answers_one_class_is_stopped_only_after_the_ramp(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "JUDGED_AFTER", 1)
    g = classifier("mlp", sigma=0.0)
    with torch.no_grad():
        for parameter in g.parameters():
            parameter.zero_()
        list(g.parameters())[-1][1] = 50.0
    trainer = IntervalTraining(
        epsilon=0.1, lr=1e-9, **{**SHORT, "epochs": 5, "warmup_epochs": 3, "warmup_from": 1}
    )
    epochs: list[int] = []
    said = r"got class 1 for 100.0% .* a longer warm-up of epsilon \(warmup_epochs is 3\)"
    with pytest.raises(TrainingCollapsed, match=said):
        trainer.fit(g, images(), progress=False, callback=lambda epoch, _: epochs.append(epoch))
    assert max(epochs) == 3


def test_a_classifier_under_noise_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected a classifier without noise for Interval.*, got"
    ):
        IntervalTraining(epsilon=0.1, **SHORT).fit(classifier(), images())
    IntervalTraining(epsilon=0.1, **SHORT).check_noise(Gaussian(0.0))


def test_soft_labels_are_refused() -> None:
    soft = PseudoLabels(images(), torch.full((24, 3), 1 / 3))
    with pytest.raises(ValueError, match="expected hard labels for IntervalTraining"):
        IntervalTraining(epsilon=0.1, **SHORT).fit(classifier(sigma=0.0), images(), unlabelled=soft)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epsilon": 0.0}, "expected a finite epsilon > 0 .*, got 0"),
        ({"epsilon": float("nan")}, "expected a finite epsilon > 0 .*, got nan"),
        ({"kappa_end": 1.5}, r"expected kappa_end in \[0, 1\], got 1.5"),
        ({"l1_weight": -1.0}, "expected l1_weight to be a number >= 0"),
        ({"regularizer_tolerance": 0.0}, r"expected regularizer_tolerance in \(0, 1\], got 0"),
        (
            {"epochs": 4, "warmup_epochs": 9},
            "the full epsilon, got 9 and 4; give warmup_epochs=2 beside epochs=4$",
        ),
        ({"epochs": 1, "warmup_epochs": 2}, "; give warmup_epochs=1 beside epochs=1$"),
        ({"warmup_from": 2}, "expected warmup_from <= warmup_epochs"),
        ({"attack": PGD(epsilon=0.1, steps=1)}, "expected attack=None for .*, since bounds cover"),
        ({"num_noise": 2}, "expected num_noise=1 for .*, since there is no noise to copy, got 2"),
        ({"precision": "bfloat16"}, "expected precision='float32' for .*not sound in fewer bits"),
        ({"compile": True}, "expected compile=False for .*, got True; leave it out"),
        ({"train_loss": "smoothadv"}, "expected train_loss='naive' for .*that of the bounds"),
    ],
)
@pytest.mark.parametrize("kind", [IntervalTraining, WongKolter])
def test_options_that_contradict_bounds_are_refused(
    kind: type[BoundTraining], change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        kind(**{"epsilon": 0.1, **SHORT, **change})


def test_an_option_of_the_base_changes_the_result() -> None:
    options = {**SHORT, "warmup_epochs": 2}
    found = [trained(IntervalTraining(epsilon=0.1, **options), classifier(sigma=0.0))]
    for change in ({"kappa_end": 0.5}, {"clip_box": False}, {"regularizer_weight": 0.0}):
        g = classifier(sigma=0.0)
        trainer = replace(IntervalTraining(epsilon=0.1, **options), **change)
        trainer.fit(g, images(), progress=False)
        found.append(weights(g))
    for number, one in enumerate(found):
        assert not any(torch.allclose(one, other) for other in found[number + 1 :])
