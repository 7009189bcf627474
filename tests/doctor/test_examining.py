"""The library's entry: a file, and a module."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from torch.utils.data import DataLoader, TensorDataset

import rsmooth.doctor as doctor
from rsmooth.smoothed import SmoothedClassifier

from .helpers import saved, test_images, trained, weights


def test_a_file_and_its_module_are_judged_alike(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", weights())
    report = doctor.examine(str(path), test_images(), options="--dataset digits")
    again = doctor.examine_model(trained(), test_images(), num_classes=10)
    assert report.facts["sigma"] == again.facts["sigma"] == 0.25
    accuracy = {
        (each["normalize"], each["sigma"]): each["accuracy"] for each in again.facts["trial"]
    }
    own = {(each["normalize"], each["sigma"]): each["accuracy"] for each in report.facts["trial"]}
    assert own["0.5:0.5", 0.25] == accuracy["as it is", 0.25]


def test_images_and_modules_of_every_kind_are_taken() -> None:
    data, net = test_images(), trained()
    wanted = doctor.examine_model(net, data)
    pairs = [(data.images, data.labels), (data.images.numpy(), data.labels.tolist())]
    held = TensorDataset(data.images, data.labels)
    for images in (*pairs, held, DataLoader(held)):
        assert doctor.examine_model(net, images).facts == wanted.facts
    g = SmoothedClassifier(net, sigma=0.25, num_classes=10)
    assert doctor.examine_model(g, pairs[0]).text() == wanted.text()
    with pytest.raises(TypeError, match="expected a module to examine, got PosixPath; a file is"):
        doctor.examine_model(Path("a.pth"), pairs[0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give labels too"):
        doctor.examine_model(net, data.images)  # type: ignore[arg-type]


def test_a_file_is_examined_with_images_of_every_kind(tmp_path: Path) -> None:
    path, data = saved(tmp_path / "a.pth", weights()), test_images()
    wanted = doctor.examine(path, data)
    assert doctor.examine(path, (data.images, data.labels)).facts == wanted.facts


def test_public_names() -> None:
    assert set(doctor.__all__) == {"Finding", "Report", "examine", "examine_model"}


def test_the_blocks_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    page = Path(__file__).parents[2] / "docs" / "doctor.md"
    [block] = re.findall(
        r"```\{code-cell\} ipython3\n(.*?)```", page.read_text(encoding="utf-8"), re.S
    )
    exec(block, {})
    assert capsys.readouterr().out.endswith("['batch norm', 'accuracy']\n")
