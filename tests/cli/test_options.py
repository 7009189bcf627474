"""Options that verbs share: which model, which images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from rsmooth.cli.models import check_classes, check_fits
from rsmooth.cli.options import DataOptions, ModelOptions, RunOptions
from rsmooth.plumbing.errors import on_command_line
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier


def test_one_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="or --checkpoint or --model, got none"):
        ModelOptions().load((1, 8, 8))
    with pytest.raises(ValueError, match="or --checkpoint or --model, got both"):
        ModelOptions(source=tmp_path, checkpoint=tmp_path).load((1, 8, 8))
    with pytest.raises(ValueError, match="expected --sigma with --checkpoint or --model only"):
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


def test_a_registered_model_may_bring_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = MODELS.create("resnet8", num_classes=7, normalize="cifar10").eval()
    torch.save({"state_dict": own[1].state_dict()}, tmp_path / "net.th")
    monkeypatch.setenv("RSMOOTH_WEIGHTS", str(tmp_path))
    published = {"arch": "resnet8", "normalize": "cifar10"}
    front = {"name": "dncnn", "depth": 2}  # starts as the identity
    back = {"checkpoint": "$RSMOOTH_WEIGHTS/net.th", **published}
    model = {"name": "denoised", "denoiser": front, "classifier": back}
    g = ModelOptions(model=model, sigma=0.25).load((3, 8, 8))
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(g.base(x), own(x))
    assert (g.num_classes, g.training) == (7, False)
    bare = ModelOptions(checkpoint=Path("$RSMOOTH_WEIGHTS/net.th"), sigma=0.25, **published)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(bare.load((3, 8, 8)).base(x), own(x))
    with pytest.raises(ValueError, match="expected --sigma or --noise beside --model"):
        ModelOptions(model=model).load((3, 8, 8))
    with pytest.raises(ValueError, match="--arch and --normalize with --checkpoint only"):
        ModelOptions(model=model, sigma=0.25, arch="resnet8").load((3, 8, 8))
    with pytest.raises(ValueError, match="got --checkpoint and --model; name one"):
        ModelOptions(model=model, checkpoint=tmp_path, sigma=0.25).load((3, 8, 8))
    with pytest.raises(ValueError, match=r"expected a model for images \(1, 8, 8\)"):
        ModelOptions(model=model, sigma=0.25).load((1, 8, 8))


def test_a_model_with_random_weights_is_the_same_at_every_start() -> None:
    torch.manual_seed(7)
    first, second = (ModelOptions(model="small-cnn", sigma=1.0).load((3, 8, 8)) for _ in range(2))
    assert torch.equal(first.base[1][0].weight, second.base[1][0].weight)


def test_folders_numbered_as_they_come_are_no_classes_of_another_model(tmp_path: Path) -> None:
    for name in ("b", "d"):
        (tmp_path / "val" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "val" / name / "0.png")
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\n")
    g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=4, in_channels=3), 0.25, 4)
    spec: dict[str, Any] = {"name": "folder", "root": str(tmp_path), "image_size": 8}
    with pytest.raises(ValueError, match=r"of the 4 classes .*, got 2 folders .*add --dataset"):
        check_classes(g, DataOptions(dataset=spec).choose(None))
    listed = DataOptions(dataset={**spec, "classes": str(tmp_path / "classes.txt")}).choose(None)
    check_classes(g, listed)
    assert listed.labels.tolist() == [1, 3]
    check_classes(g, DataOptions(dataset="digits").choose(None))
