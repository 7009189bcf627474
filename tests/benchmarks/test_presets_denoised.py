"""Denoised smoothing on made-up weights: published, bare and fine-tuned, up to the certificates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks import runner
from rsmooth.benchmarks.arm import run_arm
from rsmooth.benchmarks.presets import load_preset
from rsmooth.records.files import read_log


@pytest.fixture
def images(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    arrays = {
        f"x_{split}": draw.integers(256, size=(count, 32, 32, 3), dtype=np.uint8)
        for split, count in (("train", 60), ("test", 1))
    }
    labels = {key.replace("x_", "y_"): np.arange(len(x)) % 10 for key, x in arrays.items()}
    np.savez(tmp_path / "cifar10.npz", **arrays, **labels)
    return tmp_path / "cifar10.npz"


def test_arms_with_published_weights_and_a_fine_tuned_one(
    images: Path, made_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSMOOTH_CIFAR10", str(images))
    monkeypatch.setenv("RSMOOTH_WEIGHTS", str(made_weights))
    arms = {arm.name: arm for arm in load_preset("denoised-cifar10", tiny=True).arms}
    for name in ("ffdnet-sigma0.12-at0.25", "finetuned-sigma0.25-at0.5"):
        runner._claim(tmp_path / name, arms[name])
        run_arm(tmp_path / name)
        log = read_log(tmp_path / name)
        assert log.idx.tolist() == [0]
        radius = float(name.split("-at")[1])
        assert log.provenance["mode_options"] == {"radius": radius}
        assert set(log.radius.tolist()) <= {0.0, radius}
        assert "weights" not in (tmp_path / name / "certificates.jsonl").read_text()
    trained = read_log(tmp_path / "finetuned-sigma0.25-at0.5").provenance["model"]
    published = read_log(tmp_path / "ffdnet-sigma0.12-at0.25").provenance["model"]
    assert trained["architecture"]["options"]["denoiser"]["name"] == "dncnn-blind"
    assert published["architecture"]["options"]["classifier"]["name"] == "cifar-resnet"


def test_no_arm_asks_for_a_radius_that_its_samples_cannot_reach() -> None:
    from rsmooth.certify import CertifySettings

    for preset in ("denoised-cifar10", "denoised-imagenet-sample"):
        for arm in load_preset(preset).arms:
            options = {key: arm.certify[key] for key in ("n", "n0", "alpha", "mode", "radius")}
            CertifySettings(**options).rule(arm.certify.get("sigma", 0.25), 0.0)
    with pytest.raises(ValueError, match="446"):
        CertifySettings(n=10_000, mode="radius", radius=0.5).rule(0.12, 0.0)
