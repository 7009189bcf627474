"""The ImageNet preset on generated 224x224 pictures: one SmoothAdv arm, up to its certificates."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import SUMMARY, run_arm
from rsmooth.benchmarks.presets import load_preset
from rsmooth.certify import read_log


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes, one training and one test picture each, in ImageNet's layout and size."""
    from PIL import Image

    draw = np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("n01", "n02"):
            folder = tmp_path / "imagenet" / split / name
            folder.mkdir(parents=True)
            Image.fromarray(draw.integers(256, size=(224, 224, 3), dtype=np.uint8)).save(
                folder / "a.png"
            )
    return tmp_path / "imagenet"


def test_an_arm_trains_and_certifies_from_an_image_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSMOOTH_IMAGENET", str(pictures))
    arm = next(arm for arm in load_preset("imagenet", tiny=True).arms if arm.name == "s0.5-p1")
    runner._claim(tmp_path / "run", arm)
    run_arm(tmp_path / "run")
    assert json.loads((tmp_path / "run" / SUMMARY).read_text())["train"]["attack"]["steps"] == 1
    log = read_log(tmp_path / "run")
    assert log.provenance["model"]["architecture"]["name"] == "resnet50"
    assert log.samples is not None
    assert log.samples.tolist() == [10]
    assert (
        str(pictures) not in (tmp_path / "run" / "config.yaml").read_text()
    )  # the path stays in the environment
