"""Image classifiers of Hugging Face (transformers) by name, folder or type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rsmooth.models.libraries import (
    OWN,
    LibraryClassifier,
    ask_normalization,
    check_options,
    finished,
    in_our_words,
    network_name,
)
from rsmooth.models.normalize import Normalization
from rsmooth.plumbing.optional import optional
from rsmooth.plumbing.paths import user_path
from rsmooth.registry import MODELS

_EIGHT_BIT = 255.0
# Entries of a configuration that say nothing of the network, or that are noted elsewhere.
_OF_NO_NETWORK = {"id2label", "label2id", "transformers_version", "model_type", "architectures"}
_OF_NO_NETWORK |= {"dtype", "torch_dtype"}


class Logits(nn.Module):
    """The logits of a network of Hugging Face, which answers with several things.

    Logits(AutoModelForImageClassification.from_config(config))
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(pixel_values=x).logits
        return logits


@MODELS.register("hf")
def hf_model(
    model: str | None = None,
    num_classes: int | None = None,
    normalize: Normalization = OWN,
    in_channels: int | None = None,
    image_size: int | None = None,
    pretrained: bool = False,
    config: Mapping[str, Any] | None = None,
    **options: Any,
) -> LibraryClassifier:
    """An image classifier of Hugging Face, normalised as its image processor states it.

        base = MODELS.create("hf", model="google/vit-base-patch16-224", pretrained=True)
        base = MODELS.create("hf", model="folder", pretrained=True)     # of save_pretrained
        base = MODELS.create("hf", model="resnet", num_classes=10, normalize="cifar10")

    model: a name on the Hub, a folder that ``save_pretrained`` wrote, or a type of model, such as
        "resnet" or "vit". In Python ``name=`` is the same.
    num_classes: logits per image; None for those of the configuration. With pretrained weights
        another number means a fresh last layer.
    normalize: as in ``Classifier``; "own" reads preprocessor_config.json, and a type of model has
        none.
    in_channels, image_size: of the images; None for those of the configuration.
    pretrained: load the weights, from the folder, the cache or the Hub. False draws random ones,
        and asks the network for nothing.
    config: entries of the configuration of a type of model. options: the same, by name.

    The base answers with the ``logits`` alone. Images are taken as they come: nothing is resized.
    Code of others is not run (``trust_remote_code``). ImportError without transformers, ValueError
    for a name, an option or a processor that does not fit, OSError where nothing can be fetched.
    """
    model = network_name("hf", model, options)
    check_options(num_classes, in_channels, image_size)
    auto = optional("transformers", "networks of Hugging Face", "'rsmooth[hf]'")
    model = str(user_path(model)) if model.startswith("~") else model  # a folder
    wanted = {**(config or {}), **options}
    if num_classes is not None:
        wanted["num_labels"] = num_classes
    sizes = {"num_channels": in_channels, "image_size": image_size}
    made = in_our_words(
        "hf", model, pretrained, lambda: _hf_config(auto, model, pretrained, wanted, sizes)
    )
    net = in_our_words("hf", model, pretrained, lambda: _hf_network(auto, model, pretrained, made))
    if strange := sorted(key for key in options if not hasattr(type(made)(), key)):
        raise ValueError(
            f"expected entries of the configuration of {made.model_type!r}, got "
            f"{', '.join(strange)}; leave them out"
        )
    channels = int(getattr(made, "num_channels", 3))
    if normalize == OWN:
        normalize = _hf_constants(auto, model, pretrained)
    plain = {"model": made.model_type, "config": _noted(made), "num_classes": int(made.num_labels)}
    return finished(Logits(net.float()), normalize, channels, image_size, plain)


def _noted(config: Any) -> dict[str, Any]:
    """The entries of a configuration that differ from those of its type, and make the network."""
    entries = json.loads(config.to_json_string(use_diff=True))
    return {key: value for key, value in entries.items() if key not in _OF_NO_NETWORK}


def _hf_config(
    auto: Any, model: str, pretrained: bool, wanted: dict[str, Any], sizes: Mapping[str, int | None]
) -> Any:
    """The configuration of a type, a folder or a name, with the entries that are wanted."""
    known = auto.AutoConfig
    if model in auto.CONFIG_MAPPING:
        if pretrained:
            raise ValueError(
                f"expected a folder or a name on the Hub with pretrained=True, got the type "
                f"{model!r}, which has no weights; leave pretrained out"
            )
        made = known.for_model(model, **wanted)
    else:
        made = known.from_pretrained(model, local_files_only=not pretrained, **wanted)
    for name, size in sizes.items():
        if size is None or getattr(made, name, 3 if name == "num_channels" else size) == size:
            continue
        if not hasattr(made, name):
            raise ValueError(
                f"expected {name} that {made.model_type!r} takes, got {size}; leave it out"
            )
        setattr(made, name, size)
    return made


def _hf_network(auto: Any, model: str, pretrained: bool, config: Any) -> Any:
    """The network of a configuration, with weights where they are wanted."""
    kind = auto.AutoModelForImageClassification
    if not pretrained:
        return kind.from_config(config)
    net, found = kind.from_pretrained(
        model, config=config, ignore_mismatched_sizes=True, output_loading_info=True
    )
    # A last layer for other classes is drawn anew; nothing else may be.
    others = [
        str(name)
        for name, theirs, ours in found.get("mismatched_keys", ())
        if (config.num_labels, *theirs[1:]) != tuple(ours)
    ]
    others += [
        str(name)
        for name in found.get("missing_keys", ())
        if str(name).startswith(f"{net.base_model_prefix}.")
    ]
    if others:
        raise ValueError(
            f"expected weights that fit, got others or none for {', '.join(others[:3])}; leave "
            "in_channels, image_size and entries of the configuration out"
        )
    return net


def _hf_constants(auto: Any, model: str, pretrained: bool) -> Normalization:
    """Mean and std in [0, 1] pixel units, as the image processor applies them."""
    try:
        stated, _ = auto.ImageProcessingMixin.get_image_processor_dict(
            model, local_files_only=not pretrained and not Path(model).is_dir()
        )
    except OSError:
        raise ValueError(ask_normalization(model, "has no preprocessor_config.json")) from None
    unit = float(stated.get("rescale_factor", 1 / _EIGHT_BIT)) * _EIGHT_BIT
    odd = [key for key in ("rescale_offset", "include_top") if stated.get(key)]
    if odd or not stated.get("do_rescale", True) or abs(unit - 1) > 1e-6:
        raise ValueError(
            ask_normalization(
                model, f"has an image processor that does more ({', '.join(odd) or 'rescaling'})"
            )
        )
    if not stated.get("do_normalize", True):
        return None
    mean, std = stated.get("image_mean"), stated.get("image_std")
    if mean is None or std is None:
        raise ValueError(ask_normalization(model, "has an image processor without constants"))
    return [float(value) for value in mean], [float(value) for value in std]
