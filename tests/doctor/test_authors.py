"""Who wrote a file, by its entries and names."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rsmooth.doctor.authors import family, layout, wrappers

W = {"fc.weight": torch.ones(2, 2)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 1, "arch": "cifar_resnet110", "state_dict": W}, "Cohen et al. and SmoothAdv"),
        ({"epoch": 1, "arch": "resnet18", "state_dict": W}, "PyTorch's ImageNet example"),
        ({"net": W, "optimizer": {}, "epoch": 1}, "MACER"),
        ({"net": W, "acc": 90.0, "epoch": 1}, "pytorch-cifar"),
        ({"pytorch-lightning_version": "2.1", "state_dict": W}, "PyTorch Lightning"),
        ({"state_dict": [W], "err": 0.5, "sampler_indices": []}, "convex_adversarial"),
        ({"state_dict": W, "best_prec1": 91.0}, "pytorch_resnet_cifar10"),
        ({"model": W, "optimizer": {}, "lr_scheduler": {}}, "torchvision's references"),
        ({"model_state_dict": W, "optimizer_state_dict": {}}, "PyTorch's tutorials"),
        ({"theirs": W}, "a dict of theirs"),
        (W, "a raw state dict"),
        ([W], "a list"),
    ],
)
def test_layouts(content: Any, words: str) -> None:
    assert words in layout("torch", content, {})


def test_forms() -> None:
    assert layout("safetensors", W, {"format": "pt"}) == "a safetensors file (transformers or timm)"
    assert layout("npz", W, {}) == "an .npz file of weights"


def test_wrappers() -> None:
    assert wrappers(["module.conv1.weight"]) == ["nn.DataParallel (module.)"]
    assert wrappers(["_orig_mod.conv1.weight"]) == ["torch.compile (_orig_mod.)"]
    assert wrappers(["n_averaged", "module.a"])[-1].startswith("torch.optim.swa_utils")
    assert wrappers(["conv1.weight"]) == []


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["blocks.0.attn.qkv.weight"], "vision transformer of timm"),
        (
            [f"layer{s}.{b}.conv1.weight" for s in (1, 2, 3, 4) for b in (0, 1)],
            "ResNet-18 of basic",
        ),
        (["features.0.weight", "classifier.6.weight"], "VGG"),
    ],
)
def test_networks_of_others(names: list[str], words: str) -> None:
    assert words in str(family(names))


def test_an_unknown_network() -> None:
    assert family(["a.weight"]) is None
