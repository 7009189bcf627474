"""Models made of others: what names a part, and what rebuilds it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth import MODELS, SmoothedClassifier
from rsmooth.models.nested import build_part
from rsmooth.registry import DENOISERS, RegistryError

OPTIONS = {"num_classes": 3, "in_channels": 1, "width": 4}


def test_all_that_names_a_part(tmp_path: Path) -> None:
    own = MODELS.create("small-cnn", **OPTIONS)
    SmoothedClassifier(own, 0.5, 3).save(tmp_path / "model.pt")
    assert build_part(own) == (own, None)
    for part in ({"name": "small-cnn", **OPTIONS}, own.architecture):
        built, noise = build_part(part)
        assert built.architecture == own.architecture
        assert noise is None
    paths: list[Any] = [tmp_path, str(tmp_path), tmp_path / "model.pt"]
    if find_spec("safetensors") is not None:
        paths.append(tmp_path / "model.safetensors")
        SmoothedClassifier(own, 0.5, 3).save(paths[-1])
    for path in paths:
        saved, noise = build_part(path)
        assert noise == {"name": "gaussian", "sigma": 0.5}
        assert all(
            torch.equal(a, b) for a, b in zip(saved.parameters(), own.parameters(), strict=True)
        )
    named, _ = build_part("mlp", num_classes=5, depth=7)
    assert named.architecture["options"] == {"num_classes": 5}, (
        "an option that it lacks is left out"
    )


def test_a_trained_model_of_the_package_is_a_part() -> None:
    base, noise = build_part("cifar10-sigma-0.25")
    known = MODELS.create("ensemble", members=["cifar10-sigma-0.25", base])
    assert noise == {"name": "gaussian", "sigma": 0.25}
    assert [each.architecture for each in known.members] == 2 * [base.architecture]
    with pytest.raises(RegistryError, match="expected a registered denoiser"):
        build_part("cifar10-sigma-0.25", DENOISERS)


@pytest.mark.parametrize("part", [None, 5, True, ["resnet8"]])
def test_what_names_nothing_is_refused(part: Any) -> None:
    with pytest.raises(ValueError, match=r"as a module, a name, a mapping .*, got"):
        build_part(part)


def test_what_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a trained model in .*, got no such file"):
        build_part(tmp_path)
    torch.save({"weights": 1}, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"expected a model written by SmoothedClassifier.save"):
        build_part(tmp_path)


def test_a_published_checkpoint_is_a_part(tmp_path: Path) -> None:
    own = MODELS.create("resnet8", num_classes=3, normalize="cifar10").eval()
    torch.save({"state_dict": own[1].state_dict()}, tmp_path / "net.th")
    spec = {"checkpoint": tmp_path / "net.th", "arch": "resnet8", "normalize": "cifar10"}
    base = MODELS.create("denoised", denoiser={"name": "dncnn", "depth": 2}, classifier=spec)
    x = torch.rand(2, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(base.classifier(x), own(x))
    assert base.architecture["options"]["classifier"] == own.architecture
    assert base.origin is None
    torch.save(own[1].state_dict(), tmp_path / "net.th", _use_new_zipfile_serialization=False)
    with pytest.warns(match="format of torch before 1.6"):
        base = MODELS.create("denoised", denoiser={"name": "dncnn", "depth": 2}, classifier=spec)
    assert base.origin["file"] == "net.th"
    with pytest.raises(ValueError, match=r"expected a checkpoint with arch, .*, got norm; leave"):
        build_part({**spec, "norm": "cifar10"})
    with pytest.raises(ValueError, match=r"or of a file as \{checkpoint: FILE"):
        build_part({"arch": "resnet8"})


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("ffdnet", r"denoiser 'ffdnet' to be given sigma, got no option; give it as {name: ffd"),
        ({"name": "ffdnet", "width": 4}, r"to be given sigma, got width; give it"),
        ({"name": "dncnn", "depht": 3}, r"an option of the denoiser 'dncnn', got 'depht'; did you"),
        ({"name": "dncnn", "options": {"depht": 3}}, r"of the denoiser 'dncnn', got 'depht'"),
        ({"name": "dncnn", "options": 3}, r"of the denoiser 'dncnn', got 'options'"),
        ({"name": "dncnn", "depth": "a"}, r"'dncnn', option depth: expected int, got 'a'"),
        ({"name": "ffdnet", "sigma": None}, r"option sigma: expected float, got None"),
        ({"checkpoint": 4, "arch": "resnet20"}, r"option path: expected a path, got 4"),
        ({"checkpoint": "net.th", "num_classes": "a"}, r"num_classes: expected int or null, got"),
    ],
)
def test_wrong_options_of_a_part_are_named(part: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_part(part, DENOISERS)


def test_options_of_a_part_are_read_as_those_of_a_whole_model() -> None:
    """A file writes 64/255 and 3.0; a program has tuples, numpy's numbers and modules."""
    built, _ = build_part({"name": "ffdnet", "sigma": "64/255", "depth": 3.0}, DENOISERS)
    known = built.architecture["options"]
    assert (known["sigma"], known["depth"], type(known["depth"])) == (64 / 255, 3, int)
    hidden = {"num_classes": 3, "image_size": 8, "in_channels": 1, "hidden": (4, 2)}
    assert build_part({"name": "mlp", **hidden})[0].architecture["options"] == hidden
    built, _ = build_part({"name": "ffdnet", "sigma": np.float64(0.5)}, DENOISERS)
    assert type(built.architecture["options"]["sigma"]) is float
    front = DENOISERS.create("dncnn", depth=3, width=4, in_channels=1)
    back = MODELS.create("small-cnn", **OPTIONS)
    whole, _ = build_part({"name": "denoised", "denoiser": front, "classifier": back})
    assert whole.denoiser is front
    assert whole.classifier is back
