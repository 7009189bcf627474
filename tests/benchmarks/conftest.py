"""Two arms for all tests of the harness, one of them finished."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import run_arm
from rsmooth.benchmarks.presets import Preset, load_preset
from rsmooth.registry import DENOISERS, MODELS
from tests.benchmarks.small import DEFAULTS

PRESET = (
    DEFAULTS
    + """
title: Two arms
jobs: 2
threads: 1
report: {radii: [0.25]}
arms:
  first: {train: {seed: 1}}
  second: {train: {seed: 2}}
"""
)


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


@pytest.fixture(scope="session")
def made_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the form and under the names of the published ones of the presets."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    net = MODELS.create("cifar-resnet", depth=56, shortcut="padding")[1]
    for layer in net.modules():
        layer.momentum = 1.0  # so that one pass sets the statistics of batch norm
    with torch.no_grad():
        net(torch.rand(16, 3, 8, 8))
    theirs = {f"module.{k.replace('fc.', 'linear.')}": v for k, v in net.state_dict().items()}
    (folder / "cifar10").mkdir()
    torch.save({"state_dict": theirs}, folder / "cifar10" / "resnet56-4bfd9763.th")
    (folder / "denoisers").mkdir()
    for denoiser, name in (
        (DENOISERS.create("ffdnet", sigma=0.25), "ffdnet_color"),
        (DENOISERS.create("dncnn-blind"), "dncnn_color_blind_0to55"),
    ):
        layers = [layer for layer in denoiser.layers if hasattr(layer, "weight")]
        arrays = {f"w{i}": layer.weight.detach().numpy() for i, layer in enumerate(layers)}
        arrays |= {f"b{i}": layer.bias.detach().numpy() for i, layer in enumerate(layers)}
        np.savez(folder / "denoisers" / f"{name}.npz", **arrays)
    return folder
