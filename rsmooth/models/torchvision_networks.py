"""Classifiers of torchvision by name."""

from __future__ import annotations

from typing import Any

from torch import nn

from rsmooth.models.head import replace_head
from rsmooth.models.libraries import (
    OWN,
    LibraryClassifier,
    check_known,
    check_options,
    constants,
    finished,
    in_our_words,
    network_name,
)
from rsmooth.models.normalize import Normalization
from rsmooth.registry import MODELS

_MORE_HEADS = ("googlenet", "inception_v3")


@MODELS.register("torchvision")
def torchvision_model(
    model: str | None = None,
    num_classes: int | None = None,
    normalize: Normalization = OWN,
    in_channels: int = 3,
    image_size: int | None = None,
    pretrained: bool = False,
    **options: Any,
) -> LibraryClassifier:
    """A classifier of torchvision by its name, normalised as the transforms of its weights.

        base = MODELS.create("torchvision", model="mobilenet_v3_small", num_classes=10)

    model: a name of ``torchvision.models.list_models(module=torchvision.models)``. In Python
        ``name=`` is the same.
    num_classes: logits per image; None for those of the published weights. With pretrained weights
        another number means a fresh last layer.
    normalize: as in ``Classifier``; "own" takes mean and std of the published weights' transforms.
    in_channels: 3, for which torchvision's networks are made.
    image_size: of networks for one size only: vit and maxvit.
    pretrained: fetch torchvision's newest weights; False draws random ones.
    options: further arguments of the network.

    Images are taken as they come: nothing is resized. ValueError for a name or options that
    torchvision does not know, OSError where weights cannot be fetched.
    """
    model = network_name("torchvision", model, options)
    check_options(num_classes, in_channels, image_size)
    if in_channels != 3:
        raise ValueError(
            f"expected in_channels=3 for networks of torchvision, got {in_channels}; "
            "MODELS.create('timm', ...) takes other numbers"
        )
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision import models

    check_known("torchvision", model, models.list_models(module=models))
    weights = models.get_model_weights(model).DEFAULT
    stated = weights.transforms()
    published = len(weights.meta["categories"])
    classes = published if num_classes is None else num_classes
    given = {**options, **_fixed_size(model, image_size)}
    if not pretrained:
        given = {**_one_head(model), **given, "num_classes": classes}
    source = weights if pretrained else None
    net = in_our_words(
        "torchvision",
        model,
        pretrained,
        lambda: models.get_model(model, weights=source, **given),
    )
    if pretrained:
        net = _plain_head(net, model)
        net = net if classes == published else replace_head(net, classes)
    normalize = constants(normalize, stated.mean, stated.std, in_channels, model)
    plain = {"model": model, **options, "num_classes": classes}
    # Published weights bring options of their own, such as another size of a ViT.
    own = {name: getattr(net, name) for name in ("transform_input",) if hasattr(net, name)}
    size = getattr(net, "image_size", image_size)
    return finished(net, normalize, in_channels, size, {**plain, **own})


def _fixed_size(model: str, image_size: int | None) -> dict[str, Any]:
    """The option of a network for one size of images that says which."""
    if image_size is not None and model.startswith("vit_"):
        return {"image_size": image_size}
    if image_size is not None and model.startswith("maxvit"):
        return {"input_size": (image_size, image_size)}
    return {}


def _one_head(model: str) -> dict[str, Any]:
    """Options that spare a new network the heads that answer with a tuple in train mode."""
    if model in _MORE_HEADS:
        return {"aux_logits": False, "init_weights": True}  # the weights are drawn as ever
    return {}


def _plain_head(net: nn.Module, model: str) -> nn.Module:
    """A pretrained network of torchvision without the heads that only its training needed."""
    if model in _MORE_HEADS:
        for name in ("aux_logits", "aux1", "aux2", "AuxLogits"):
            if hasattr(net, name):
                setattr(net, name, False if name == "aux_logits" else None)
    return net
