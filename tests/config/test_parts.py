"""Noise, models and trainers from their specs."""

from __future__ import annotations

import pytest

from rsmooth.config.images import load_splits
from rsmooth.config.parts import (
    build_model,
    build_noise,
    build_trainer,
    check_untrained,
    noise_config,
    settle_trainer,
)
from rsmooth.data import DataSplits
from rsmooth.noise import Gaussian, Uniform


def test_noise_by_sigma_or_by_spec() -> None:
    assert build_noise(0.25, None) == Gaussian(0.25)
    assert build_noise(None, {"name": "gaussian", "sigma": "64/255"}) == Gaussian(64 / 255)
    assert build_noise(None, {"name": "uniform", "half_width": 1}) == Uniform(1.0)
    for both in ((None, None), (0.25, "uniform")):
        with pytest.raises(ValueError, match="expected either sigma or noise, got"):
            build_noise(*both)
    with pytest.raises(ValueError, match="'uniform' to be given half_width"):
        build_noise(None, "uniform")
    with pytest.raises(ValueError, match="expected a finite half_width > 0, got 0"):
        build_noise(None, {"name": "uniform", "half_width": 0})
    with pytest.raises(ValueError, match="expected a finite sigma > 0, got 0"):
        build_noise(0.0, None)
    assert build_noise(0.0, None, zero=True) == Gaussian(0.0)


def test_gaussian_noise_is_written_as_it_always_was() -> None:
    assert noise_config(Gaussian(0.5)) == {"sigma": 0.5}
    assert noise_config(Uniform(0.5)) == {"noise": {"name": "uniform", "half_width": 0.5}}


def test_a_trained_model_is_no_architecture() -> None:
    for model in ("cifar10-sigma-0.25", {"name": "cifar10-sigma-0.25"}):
        with pytest.raises(ValueError, match="a trained model; name it in place of a run folder"):
            check_untrained(model)
    for model in ("small-cnn", "nothing-like-it"):
        check_untrained(model)


def test_a_model_is_told_what_the_data_knows() -> None:
    splits = load_splits("digits")
    model = build_model("small-cnn", splits)
    assert model.architecture["options"]["num_classes"] == splits.num_classes
    with pytest.raises(ValueError, match="did you mean width"):
        build_model({"name": "small-cnn", "widht": 3}, splits)


def test_networks_of_others_keep_their_normalisation() -> None:
    splits = DataSplits(None, None, None, 7, (3, 32, 32), normalize="cifar10")
    spec = {"name": "torchvision", "model": "shufflenet_v2_x0_5"}
    base = build_model(spec, splits)
    assert base.architecture["options"]["num_classes"] == 7
    assert base[0].mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    told = build_model({**spec, "normalize": "cifar10"}, splits)
    assert told[0].mean.flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465])


def test_the_options_of_a_trainer_go_over_its_preset() -> None:
    trainer = build_trainer({"name": "gaussian", "epochs": 3}, None, 5, "digits")
    assert (trainer.epochs, trainer.seed) == (3, 5)


def test_a_preset_may_bring_an_attack_and_belongs_to_its_trainer() -> None:
    name = "consistency-smoothadv-cifar10-0.5"
    trainer = build_trainer("consistency", None, 0, name)
    assert (trainer.attack.epsilon, trainer.num_noise) == (2.0, 2)
    other = build_trainer(
        "consistency", {"name": "smoothadv-pgd", "epsilon": 1, "steps": 2}, 0, name
    )
    assert (other.attack.epsilon, other.num_noise) == (1.0, 2)
    with pytest.raises(ValueError, match=r"expected the trainer consistency for .*; add --tr"):
        build_trainer("gaussian", None, 0, name)


@pytest.mark.parametrize(
    ("trainer", "attack", "preset", "settled", "why"),
    [
        (None, None, None, "gaussian", None),
        (None, "smoothadv-pgd", None, "smoothadv", "smoothadv-pgd is on the smoothed classifier"),
        (None, "naive-ddn", None, "smoothadv", "naive-ddn is on the smoothed classifier"),
        (None, "pgd", None, "perturb-then-noise", "pgd is on the base classifier"),
        (None, "pgd", "macer-cifar10-0.25", "macer", "the preset macer-cifar10-0.25 is of that"),
        (None, "pgd", "fast", "perturb-then-noise", "pgd is on the base classifier"),
        ("noise-then-perturb", "pgd", None, "noise-then-perturb", None),
    ],
)
def test_a_trainer_that_nobody_named_follows_from_preset_and_attack(
    trainer: str | None, attack: str | None, preset: str | None, settled: str, why: str | None
) -> None:
    spec = None if attack is None else {"name": attack, "epsilon": 0.5, "steps": 1}
    found, reason = settle_trainer(trainer, spec, preset)
    assert found in (settled, {"name": settled})
    assert (reason is None) == (why is None)
    assert (why or "") in (reason or "")
    if trainer is None:  # options without a name are those of the trainer that is found
        assert settle_trainer({"epochs": 3}, spec, preset)[0] == {"name": settled, "epochs": 3}


def test_the_target_of_an_attack_decides_whatever_its_name() -> None:
    spec = {"name": "pgd", "epsilon": 0.5, "steps": 1, "target": "smoothed"}
    assert settle_trainer(None, spec, None)[0] == {"name": "smoothadv"}
