"""Two arms for all tests of the harness, one of them finished."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import run_arm
from rsmooth.benchmarks.presets import Preset, load_preset

PRESET = """
title: Two arms
jobs: 2
threads: 1
report: {radii: [0.25]}
defaults:
  train:
    dataset: digits
    model: {name: small-cnn, width: 4}
    sigma: 0.25
    trainer: {name: gaussian, epochs: 1, precision: float32}
  certify: {max: 4, n: 100, n0: 10, workers: 1, precision: float32, compile: never}
arms:
  first: {train: {seed: 1}}
  second: {train: {seed: 2}}
"""


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "two.yaml"
    path.write_text(PRESET)
    return path


@pytest.fixture(scope="session")
def preset(file: Path) -> Preset:
    return load_preset(str(file))


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory, preset: Preset) -> Path:
    """A folder whose first arm is finished, as after a kill between the arms."""
    folder = tmp_path_factory.mktemp("runs")
    for arm in preset.arms:
        runner._claim(folder / arm.name, arm)
    run_arm(folder / "first")
    return folder
