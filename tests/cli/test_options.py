"""Options that verbs share: which model, which images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth.cli.models import check_fits
from rsmooth.cli.options import DataOptions, ModelOptions, RunOptions
from rsmooth.plumbing.errors import on_command_line
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier


def test_one_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or --checkpoint, got neither"):
        ModelOptions().load((1, 8, 8))
    with pytest.raises(ValueError, match="or --checkpoint, got both"):
        ModelOptions(source=tmp_path, checkpoint=tmp_path).load((1, 8, 8))
    with pytest.raises(ValueError, match="expected --sigma with --checkpoint only"):
        ModelOptions(source=tmp_path, sigma=0.25).load((1, 8, 8))
    with pytest.raises(ValueError, match="run rsmooth train first"):
        RunOptions(source=tmp_path).load((1, 8, 8))


def test_a_published_checkpoint_needs_noise_and_normalisation(tmp_path: Path) -> None:
    for given in ({}, {"normalize": "none"}, {"sigma": 1.0, "noise": "uniform"}):
        with pytest.raises(ValueError, match="expected --sigma or --noise beside"):
            ModelOptions(checkpoint=tmp_path, **given).load((3, 32, 32))  # type: ignore[arg-type]


def test_a_published_checkpoint_under_other_noise(tmp_path: Path) -> None:
    import torch

    from rsmooth import MODELS
    from rsmooth.noise import Uniform

    weights = MODELS.create("resnet20", num_classes=10, normalize="cifar10")[1].state_dict()
    state = {f"1.{name}": tensor for name, tensor in weights.items()}
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"arch": "cifar_resnet20", "state_dict": state}, path)
    noise = {"name": "uniform", "half_width": 0.5}
    g = ModelOptions(checkpoint=path, normalize="cifar10", noise=noise).load((3, 32, 32))
    assert g.noise == Uniform(0.5)
    with pytest.raises(ValueError, match="expected images of 3 channels"):
        check_fits(g, (1, 8, 8))


def test_images_of_a_data_set() -> None:
    assert len(DataOptions(dataset="digits", skip=10, max=3).choose(None)) == 3


def test_the_architecture_may_be_said(tmp_path: Path) -> None:
    base = MODELS.create("resnet8", num_classes=10, normalize="cifar10")
    path = tmp_path / "weights.pth"
    torch.save({"net": {f"1.{k}": v for k, v in base[1].state_dict().items()}}, path)
    options: dict[str, Any] = {"checkpoint": path, "sigma": 0.25}
    g = ModelOptions(**options, arch="resnet8", normalize="cifar10").load((3, 32, 32))
    x = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(g.base(x), base.eval()(x))
    with on_command_line(), pytest.raises(ValueError, match="give --arch, such as --arch resnet20"):
        ModelOptions(**options, normalize="cifar10").load((3, 32, 32))
    with on_command_line(), pytest.raises(ValueError, match='so give --normalize "cifar10"'):
        ModelOptions(**options, arch="resnet8").load((3, 32, 32))


def test_a_model_of_ours_is_no_checkpoint_of_others(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    SmoothedClassifier(MODELS.create("resnet8"), 0.25, 10).save(path)
    with on_command_line(), pytest.raises(ValueError, match="name it as the first argument"):
        ModelOptions(checkpoint=path, sigma=0.25).load((3, 32, 32))
