"""Denoised smoothing: the authors' steps, a classifier that stays, and surrogates in turn."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rsmooth import MODELS, SmoothAdvPGD, SmoothedClassifier
from rsmooth.defenses import DenoiserTraining, FTCadis, denoise
from rsmooth.models import Denoised, DnCNN, MemNet
from rsmooth.training.distributed import Ranks
from rsmooth.training.steps import Stepper
from tests.defenses.published import Case, cases, network
from tests.training.helpers import CLASSES, classifier, images, weights

CASES = cases("denoiser", "denoiser")
SHORT: dict[str, Any] = {"epochs": 2, "batch_size": 12, "lr": 0.01, "precision": "float32"}
OBJECTIVES = {"denoising": "mse", "classification": "classification", "stability": "stability"}
FRONT = {"name": "dncnn", "depth": 3, "width": 4, "in_channels": 1}


def denoiser(name: str) -> nn.Module:
    case = CASES[name]
    if name == "dncnn":
        net: nn.Module = DnCNN(int(case["depth"]), int(case["n_channels"]))
    else:
        sizes = (int(case[key]) for key in ("channels", "num_memblock", "num_resblock"))
        net = MemNet(*sizes)
    stored = {key.removeprefix("net/"): own for key, own in case.items() if key.startswith("net/")}
    net.double().load_state_dict(stored)
    return net


@pytest.mark.parametrize("theirs", OBJECTIVES)
@pytest.mark.parametrize("name", CASES)
def test_a_step_is_that_of_the_authors(name: str, theirs: str) -> None:
    """Loss, first and last gradient, the norm of all, and the statistics that it moved."""
    case: Case = CASES[name]
    g = SmoothedClassifier(Denoised(denoiser(name), network(case, "classifier/")), 0.25, 5)
    before = {key: own.clone() for key, own in g.base.classifier.state_dict().items()}
    trainer = DenoiserTraining(objective=OBJECTIVES[theirs])  # type: ignore[arg-type]
    stepper, count = Stepper(trainer, g, Ranks(), "float32"), len(case["x"])
    noise, ids = case["noise"].unsqueeze(1), torch.arange(count)
    stepper.step(case["x"], case["y"], noise, ids, lr=0.0, attack=None, scale=1 / count)
    loss = float(stepper.meter.totals[0]) / count
    assert loss == pytest.approx(float(case[f"{theirs}/loss"]), abs=1e-9)
    found = [own.grad for own in g.base.denoiser.parameters()]
    torch.testing.assert_close(found[0], case[f"{theirs}/grad_first"], rtol=0, atol=1e-8)
    torch.testing.assert_close(found[-1], case[f"{theirs}/grad_last"], rtol=0, atol=1e-8)
    norm = torch.stack([own.square().sum() for own in found if own is not None]).sum().sqrt()
    torch.testing.assert_close(norm, case[f"{theirs}/grad_norm"], rtol=1e-9, atol=1e-9)
    buffers = dict(g.base.denoiser.named_buffers())
    moved = [key.removeprefix("after/") for key in case if key.startswith("after/")]
    assert moved
    for key in moved:
        torch.testing.assert_close(buffers[key], case[f"after/{key}"], rtol=0, atol=1e-9)
    after = g.base.classifier.state_dict()
    assert all(torch.equal(own, after[key]) for key, own in before.items()), "frozen, in eval mode"


def pair() -> SmoothedClassifier:
    torch.manual_seed(0)
    base = MODELS.create("denoised", denoiser=FRONT, classifier=classifier().base)
    return SmoothedClassifier(base, 0.25, CLASSES)


@pytest.mark.parametrize("objective", OBJECTIVES.values())
def test_only_the_denoiser_moves_and_under_adam(objective: Any) -> None:
    g = pair()
    before = {name: own.clone() for name, own in g.base.state_dict().items()}
    history = DenoiserTraining(objective=objective, **{**SHORT, "epochs": 8}).fit(
        g, images(), progress=False
    )
    moved = {name for name, own in g.base.state_dict().items() if not own.equal(before[name])}
    assert moved
    assert all(name.startswith("denoiser.") for name in moved)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    stepper = Stepper(DenoiserTraining(), pair(), Ranks(), "float32")
    assert type(stepper.optimizer) is torch.optim.Adam


def test_surrogates_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is the model's own classifier gives the same weights; of two each gets its steps."""
    names = []
    for seed in range(2):
        names.append(str(tmp_path / f"{seed}.pt"))
        classifier(seed=seed).save(names[-1])
    asked: list[int] = []
    for objective in ("classification", "stability"):
        found = []
        for surrogates in ((), (names[0],), (names[1],), tuple(names)):
            g = pair()
            trainer = DenoiserTraining(objective=objective, surrogates=surrogates, **SHORT)  # type: ignore[arg-type]
            trainer.fit(g, images(), progress=False)
            found.append(weights(g))
        torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(found[1], found[2])
        assert not any(torch.allclose(found[3], own) for own in found[:3])

    classifier(seed=1).save(names[0])  # as if it had been trained again, at the same place
    os.utime(names[0], ns=(1, 1))
    g = pair()
    trainer = DenoiserTraining(objective="stability", surrogates=names[:1], **SHORT)
    trainer.fit(g, images(), progress=False)
    torch.testing.assert_close(weights(g), found[2])

    g = pair()
    g.base.double()  # and the surrogates with it
    trainer.fit(g, images(), progress=False)
    torch.testing.assert_close(weights(g), found[2], rtol=1e-4, atol=1e-5)

    loaded = denoise._loaded

    def spied(paths: Any, *rest: Any) -> Any:
        judges = loaded(paths, *rest)
        for number, judge in enumerate(judges):
            if not judge._forward_hooks:
                judge.register_forward_hook(lambda *_, number=number: asked.append(number))
        return judges

    monkeypatch.setattr(denoise, "_loaded", spied)
    trainer = DenoiserTraining(objective="classification", surrogates=names, **SHORT)
    trainer.fit(pair(), images(), progress=False)
    assert asked == [0, 1, 0, 1]


def test_ft_cadis_trains_the_classifier_behind_a_denoiser_that_stays() -> None:
    g = pair()
    before = {name: own.clone() for name, own in g.base.state_dict().items()}
    trainer = FTCadis(behind_denoiser=True, num_noise=2, epsilon=0.5, **SHORT)
    trainer.fit(g, images(), progress=False)
    moved = {name for name, own in g.base.state_dict().items() if not own.equal(before[name])}
    assert moved
    assert all(name.startswith("classifier.") for name in moved)


def test_behind_a_denoiser_that_does_nothing_ft_cadis_is_itself() -> None:
    """A DnCNN starts as the identity."""
    options: dict[str, Any] = {"num_noise": 2, "epsilon": 0.5, **SHORT, "fold_attack": False}
    behind, plain = pair(), classifier()
    FTCadis(behind_denoiser=True, **options).fit(behind, images(), progress=False)
    FTCadis(**options).fit(plain, images(), progress=False)
    torch.testing.assert_close(
        weights(plain.around(behind.base.classifier)), weights(plain), rtol=1e-4, atol=1e-5
    )


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="expected no attack for DenoiserTraining, got PGD"):
        DenoiserTraining(attack=SmoothAdvPGD(epsilon=0.5, steps=2))
    with pytest.raises(ValueError, match="expected objective to be one of mse, classification, st"):
        DenoiserTraining(objective="denoising")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected surrogates for the objectives classification"):
        DenoiserTraining(surrogates=["runs/a"])
    with pytest.raises(ValueError, match="expected surrogates to be a list of run folders such as"):
        DenoiserTraining(objective="stability", surrogates="runs/a")
    for frozen in (("classifier",), ()):
        trainer = DenoiserTraining(frozen_parts=frozen, **SHORT)
        with pytest.raises(ValueError, match="expected a base classifier with a part denoiser, go"):
            trainer.fit(classifier(), images(), progress=False)


def test_the_classifier_stays_whatever_else_is_frozen() -> None:
    trainer = DenoiserTraining(objective="classification", frozen_parts=("denoiser.0",))
    assert trainer.frozen_parts == ("denoiser.0", "classifier")
