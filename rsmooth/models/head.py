"""The exchange of a model's last layer, for fine-tuning on other classes."""

from __future__ import annotations

from torch import nn

from rsmooth.models.ensemble import Ensemble
from rsmooth.models.state import copied
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import note_layers


def replace_head(model: nn.Module, num_classes: int) -> nn.Module:
    """A copy of the model whose last linear layer is a fresh one with num_classes outputs.

        base = replace_head(pretrained.base, num_classes=10)

    The copy's ``architecture``, if it has one, records num_classes too. So Salman et al. 2019
    (arXiv:1906.04584), section 4.2, fine-tune from ImageNet to CIFAR-10. ValueError for a model
    without a linear layer.
    """
    check_sizes(num_classes=num_classes)
    if isinstance(model, Ensemble):
        raise ValueError(
            f"expected a model with one last layer, got an ensemble of {len(model.members)}; "
            "replace that of each member"
        )
    model = copied(model)
    heads = [
        (name, layer)
        for name, layer in model.named_modules()
        if name and isinstance(layer, nn.Linear)
    ]
    if not heads:
        raise ValueError(
            f"expected a model with a linear layer to replace, got {type(model).__name__}"
        )
    name, old = heads[-1]
    head = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
    model.set_submodule(name, head.to(old.weight.device, old.weight.dtype).train(old.training))
    architecture = getattr(model, "architecture", None)
    if isinstance(architecture, dict):
        architecture["options"]["num_classes"] = num_classes
        note_layers(model)
    return model
