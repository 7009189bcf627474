"""Networks of timm (Wightman 2019) by name."""

from __future__ import annotations

from typing import Any

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
from rsmooth.plumbing.optional import optional
from rsmooth.registry import MODELS


@MODELS.register("timm")
def timm_model(
    model: str | None = None,
    num_classes: int | None = None,
    normalize: Normalization = OWN,
    in_channels: int = 3,
    image_size: int | None = None,
    pretrained: bool = False,
    **options: Any,
) -> LibraryClassifier:
    """A network of timm by its name, normalised as timm states it.

        base = MODELS.create("timm", model="resnet18", num_classes=10)
        base = MODELS.create("timm", model="vit_tiny_patch16_224", num_classes=10, image_size=32)

    model: a name of ``timm.list_models()``. In Python ``name=`` is the same.
    num_classes: logits per image; None for those of the published weights.
    normalize: as in ``Classifier``; "own" takes mean and std of ``pretrained_cfg``, of grey images
        their mean over the colours.
    in_channels: of the images. image_size: of networks for one size only, such as a ViT.
    pretrained: fetch timm's weights; False draws random ones.
    options: further arguments of ``timm.create_model``.

    Images are taken as they come: nothing is resized. ImportError without timm, ValueError for a
    name or options that timm does not know, OSError where weights cannot be fetched.
    """
    model = network_name("timm", model, options)
    check_options(num_classes, in_channels, image_size)
    timm = optional("timm", "networks of timm", "'rsmooth[timm]'")
    refused = {"checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "features_only"}
    if found := sorted(refused & set(options)):
        raise ValueError(
            f"expected options of the network alone, got {', '.join(found)}; load weights of your "
            "own with rsmooth.models.load_weights(base[1], state_dict, source=FILE)"
        )
    check_known("timm", model, timm.list_models())
    given = dict(options)
    if num_classes is not None:
        given["num_classes"] = num_classes
    if in_channels != 3:
        given["in_chans"] = in_channels
    if image_size is not None and _fixed_size(timm, model):
        given["img_size"] = image_size
    net = in_our_words(
        "timm", model, pretrained, lambda: timm.create_model(model, pretrained, **given)
    )
    stated = net.pretrained_cfg
    normalize = constants(normalize, stated.get("mean"), stated.get("std"), in_channels, model)
    plain = {"model": model, **options, "num_classes": int(net.num_classes)}
    return finished(net, normalize, in_channels, image_size, plain)


def _fixed_size(timm: Any, model: str) -> bool:
    """Whether a network of timm is made for one size of images."""
    stated = timm.get_pretrained_cfg(model, allow_unregistered=True)
    return bool(getattr(stated, "fixed_input_size", False))
