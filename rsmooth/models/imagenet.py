"""Torchvision's networks for ImageNet."""

from __future__ import annotations

from torch import nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.registry import MODELS


@MODELS.register("resnet50")
def resnet50(num_classes: int = 1000, normalize: Normalization = None) -> Classifier:
    """Torchvision's ResNet-50 with random weights, for 224x224 images; published under the same
    name.
    """
    from torchvision import models  # here, since it loads torch's compiler: seconds at every start

    net: nn.Module = models.resnet50(weights=None, num_classes=num_classes)
    return Classifier(net, normalize, in_channels=3)
