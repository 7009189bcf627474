"""A package of somebody else's methods: entry points alone, no edit here, all of the machinery."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth import MODELS, TRAINERS, SmoothAdvPGD, SmoothedClassifier, Trainer, testing
from rsmooth.noise import Uniform
from rsmooth.training.graphs import CALLS_BEFORE
from rsmooth.training.steps import Stepper
from tests.training.helpers import CLASSES, classifier, images, trained, weights
from tests.training.test_graphs import StandIn

PLUGINS = Path(__file__).parents[1] / "plugins"
NAMES = ["extras-denoiser", "extras-macer", "extras-mixup", "extras-reweight"]
OPTIONS: dict[str, Any] = {"epochs": 3, "batch_size": 12, "lr": 0.02, "precision": "float32"}


pytestmark = pytest.mark.usefixtures("plugins")


def trainer(name: str, **options: Any) -> Trainer:
    copies = {"num_noise": 4} if name == "extras-macer" else {}
    return TRAINERS.create(name, **{**OPTIONS, **copies, **options})


def model(name: str) -> SmoothedClassifier:
    if name != "extras-denoiser":
        return classifier()
    torch.manual_seed(0)
    base = MODELS.create("extras-denoised", num_classes=CLASSES, in_channels=1, width=4)
    return SmoothedClassifier(base, 0.25, CLASSES)


def test_they_are_short_and_touch_nothing_of_the_machinery() -> None:
    for path in (PLUGINS / "rsmooth_extras").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) < 40, path
        assert "rsmooth.training." not in text, "the public names suffice"
    assert [name for name in TRAINERS.names() if name.startswith("extras-")] == NAMES
    assert TRAINERS.describe("extras-mixup").startswith("Train on noisy images, and on mixtures")


@pytest.mark.parametrize("name", NAMES)
def test_each_trains_and_its_loss_falls(name: str) -> None:
    history = trainer(name, epochs=8).fit(model(name), images(), progress=False)
    assert history[-1]["train_loss"] < history[0]["train_loss"]


@pytest.mark.parametrize("name", NAMES)
def test_each_passes_the_checks_for_plug_in_authors(name: str) -> None:
    testing.check_trainer(trainer(name), model(name))


@pytest.mark.parametrize("name", NAMES)
def test_each_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    """Stopped within the third epoch, where reweighting draws by what it saw at its start."""
    whole = model(name)
    trainer(name).fit(whole, images(), progress=False)
    first = model(name)
    with pytest.raises(KeyboardInterrupt):
        trainer(name, checkpoint_seconds=1e-9).fit(
            first, images(), run_dir=tmp_path, callback=stop_in(2), progress=False
        )
    again = model(name)
    trainer(name).fit(again, images(), run_dir=tmp_path, progress=False)
    assert torch.equal(weights(again), weights(whole))


def stop_in(last: int) -> Callable[[int, int], None]:
    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (last, 1):
            raise KeyboardInterrupt

    return stop


def test_macer_without_its_hinge_is_the_smoothadv_loss() -> None:
    options: dict[str, Any] = {**OPTIONS, "num_noise": 4}
    plain = trained(Trainer(train_loss="smoothadv", **options))
    assert torch.equal(trained(trainer("extras-macer", weight=0.0)), plain)
    assert torch.equal(trained(trainer("extras-macer", deferred_until=3)), plain)
    assert not torch.equal(trained(trainer("extras-macer")), plain)


def test_macer_takes_sigma_from_the_classifier() -> None:
    hinge = [trained(trainer("extras-macer"), classifier(sigma=sigma)) for sigma in (0.25, 0.5)]
    assert not torch.equal(*hinge)
    base = classifier().base
    g = SmoothedClassifier(base, noise=Uniform(0.5), num_classes=CLASSES)
    with pytest.raises(ValueError, match="expected Gaussian noise where sigma is asked for"):
        trainer("extras-macer").fit(g, images(), progress=False)


def test_a_frozen_classifier_does_not_move() -> None:
    g = model("extras-denoiser")
    before = {name: value.clone() for name, value in g.base.state_dict().items()}
    trainer("extras-denoiser").fit(g, images(), progress=False)
    moved = {name for name, value in g.base.state_dict().items() if not value.equal(before[name])}
    assert moved
    assert all(name.startswith("denoiser.") for name in moved), "neither weights nor statistics"
    assert any("running_mean" in name for name in moved), "the denoiser's own statistics do"
    assert all(parameter.requires_grad for parameter in g.base.parameters())


def test_a_denoiser_trains_under_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    original = Stepper.__init__

    def spy(self: Stepper, *arguments: Any) -> None:
        original(self, *arguments)
        built.append(self.optimizer)

    monkeypatch.setattr(Stepper, "__init__", spy)
    trainer("extras-denoiser").fit(model("extras-denoiser"), images(), progress=False)
    assert [type(optimizer) for optimizer in built] == [torch.optim.Adam]


def test_mixup_attacks_too() -> None:
    attack = SmoothAdvPGD(epsilon=0.3, steps=2)
    assert not torch.equal(
        trained(trainer("extras-mixup", attack=attack)), trained(trainer("extras-mixup"))
    )


def test_a_method_that_asks_where_the_run_is_is_not_recorded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Recorded steps repeat what was read once; others with several passes are recorded."""
    for name, recorded in (("extras-macer", False), ("extras-mixup", False), ("stability", True)):
        plain = trained(trainer(name, epochs=6))
        recorder = StandIn()
        with monkeypatch.context() as patch:
            patch.setattr(Stepper, "_choose_recorder", lambda self, own=recorder: own)
            assert torch.equal(trained(trainer(name, epochs=6)), plain)
        assert ("replay" in recorder.log) == recorded, name
        assert recorder.log.count("run") >= CALLS_BEFORE
    assert "the method reads batch.epoch, which differs from step to step" in caplog.text
