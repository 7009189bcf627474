"""Noise, models and trainers from their specs."""

from __future__ import annotations

import pytest

from rsmooth.config.images import load_splits
from rsmooth.config.parts import build_model, build_noise, build_trainer, noise_config
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
