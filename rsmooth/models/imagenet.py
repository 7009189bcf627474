"""Torchvision's networks for ImageNet."""

from __future__ import annotations

from torch import nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS


@MODELS.register("resnet50")
def resnet50(num_classes: int = 1000, normalize: Normalization = None) -> Classifier:
    """Torchvision's ResNet-50 with random weights, for colour images of 224x224.

        base = MODELS.create("resnet50", normalize="imagenet")

    num_classes: logits per image. normalize: as in ``Classifier``. Published checkpoints have the
    same name and layers. He et al. 2015 (arXiv:1512.03385).
    """
    check_sizes(num_classes=num_classes)
    # Here, since it loads torch's compiler, which takes seconds.
    from torchvision import models

    net: nn.Module = models.resnet50(weights=None, num_classes=num_classes)
    return Classifier(net, normalize, in_channels=3)
