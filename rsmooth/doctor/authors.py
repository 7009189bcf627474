"""Who wrote a file of weights, told by the entries and the names in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rsmooth.doctor.findings import listed
from rsmooth.doctor.inert import Inert, opened_up
from rsmooth.models.foreign import PUBLISHED_ARCHITECTURES

# By the entries that a file has, the most telling first.
_BY_ENTRIES: tuple[tuple[set[str], str], ...] = (
    ({"pytorch-lightning_version", "state_dict"}, "a checkpoint of PyTorch Lightning"),
    (
        {"state_dict", "sampler_indices"},
        "networks as convex_adversarial (Wong & Kolter) saves them",
    ),
    (
        {"state_dict", "best_prec1"},
        "a dict of state_dict and best_prec1, as of pytorch_resnet_cifar10",
    ),
    ({"net", "acc"}, "a checkpoint of kuangliu's pytorch-cifar"),
    ({"net", "optimizer"}, "a checkpoint of MACER (weights under net)"),
    ({"model", "optimizer", "lr_scheduler"}, "a checkpoint of torchvision's references"),
    ({"state_dict", "arch", "optimizer", "args", "version"}, "a checkpoint of timm"),
    ({"model_state_dict", "optimizer_state_dict"}, "a checkpoint of PyTorch's tutorials"),
)
_WRAPPERS = {
    "module": "nn.DataParallel (module.)",
    "_orig_mod": "torch.compile (_orig_mod.)",
    "model": "a LightningModule or a wrapper (model.)",
}


def layout(form: str, content: Any, metadata: Mapping[str, str]) -> str:
    """What kind of file its entries make it, in words.

    layout("torch", {"net": weights, "optimizer": state}, {})     # "a checkpoint of MACER ..."
    """
    if isinstance(content, Inert):
        return f"a whole pickled module of class {content.kind}"
    if form == "safetensors":
        origin = "transformers or timm" if metadata.get("format") == "pt" else "no named tool"
        return f"a safetensors file ({origin})"
    if form == "npz":
        return "an .npz file of weights"
    inside = opened_up(content)
    if not isinstance(inside, Mapping):
        return f"a {type(inside).__name__}"
    keys = {str(key) for key in inside}
    if {"epoch", "arch", "state_dict"} <= keys:
        known = str(inside["arch"]) in PUBLISHED_ARCHITECTURES
        named = "of Cohen et al. and SmoothAdv" if known else "of PyTorch's ImageNet example"
        return f"a checkpoint in the layout {named} (epoch, arch, state_dict)"
    for needed, words in _BY_ENTRIES:
        if needed <= keys:
            return words
    if any(isinstance(each, (Mapping, list, Inert)) for each in inside.values()):
        return f"a dict of {listed(sorted(keys))}"
    return "a raw state dict"


def wrappers(names: Sequence[str]) -> list[str]:
    """What has put its prefix before the names of a network, in words.

    wrappers(["module.conv1.weight"])       # ["nn.DataParallel (module.)"]
    """
    found = [
        words
        for part, words in _WRAPPERS.items()
        if any(part in name.split(".")[:2] for name in names)
    ]
    if "n_averaged" in names:
        found.append("torch.optim.swa_utils.AveragedModel (n_averaged)")
    return found


def family(names: Sequence[str]) -> str | None:
    """What networks that are none of ours look like by their names; None where nothing is known."""
    text = " ".join(names)
    if "attn.qkv" in text:
        return "a vision transformer of timm"
    if "attention.attention.query" in text:
        return "a vision transformer of transformers"
    if "resnet.embedder" in text or "convolution.weight" in text:
        return "a network of transformers"
    if "denseblock" in text or "dense1." in text:
        return "a DenseNet"
    if "features.0." in text and "classifier." in text:
        return "a VGG, AlexNet or MobileNet of torchvision"
    if "layer4.0.conv1" in text:
        return _resnet(names, "bottleneck" if "layer1.0.conv3" in text else "basic")
    return None


def _resnet(names: Sequence[str], kind: str) -> str:
    counts = [_blocks(names, f"layer{stage}.") for stage in (1, 2, 3, 4)]
    depth = {"[2, 2, 2, 2]": 18, "[3, 4, 6, 3]": 34 if kind == "basic" else 50}.get(str(counts))
    depth = 101 if counts == [3, 4, 23, 3] else depth
    known = f"ResNet-{depth}" if depth else "ResNet"
    return f"a {known} of {kind} blocks {counts} (as torchvision's, or pytorch-cifar's)"


def _blocks(names: Sequence[str], stage: str) -> int:
    return len({name.split(stage)[1].split(".")[0] for name in names if stage in name})
