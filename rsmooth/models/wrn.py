"""Wide ResNets of pre-activation blocks (Zagoruyko and Komodakis 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from rsmooth.models.normalize import Classifier, Normalization
from rsmooth.models.resnet import initialise_convolutions
from rsmooth.plumbing.numbers import check_sizes
from rsmooth.registry import MODELS


class _Block(nn.Module):
    """Twice batch norm, ReLU and a 3x3 convolution, and a shortcut around them.

    Where the shape changes, the shortcut is a 1x1 convolution of the first ReLU's output.
    """

    def __init__(self, in_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.relu1 = nn.BatchNorm2d(in_width), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        if in_width != width or stride != 1:
            self.shortcut = nn.Conv2d(in_width, width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = self.relu1(self.bn1(x))
        kept = x if self.shortcut is None else self.shortcut(active)
        out: Tensor = kept + self.conv2(self.relu2(self.bn2(self.conv1(active))))
        return out


@MODELS.register("wrn-28-10")
def wrn_28_10(
    num_classes: int = 10,
    normalize: Normalization = None,
    in_channels: int = 3,
    depth: int = 28,
    widen: int = 10,
) -> Classifier:
    """Wide ResNet of 28 layers, ten times as wide, 36.5 M parameters: Carmon et al.'s network.

        base = MODELS.create("wrn-28-10", num_classes=10, normalize=None)

    num_classes: logits per image. normalize: as in ``Classifier``; Carmon et al. have none.
    in_channels: of the images, which may have any size from 4x4 on.
    depth: 6n + 4 for n blocks per stage; ValueError otherwise. widen: times 16, 32 and 64 channels.

    arXiv:1605.07146; used for robust self-training in arXiv:1905.13736.
    """
    check_sizes(num_classes=num_classes, in_channels=in_channels, depth=depth, widen=widen)
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"expected a depth of 6n + 4 (10, 16, 22, 28, ...), got {depth}")
    widths = [16, 16 * widen, 32 * widen, 64 * widen]
    layers: list[nn.Module] = [nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)]
    for stage in range(3):
        stride = 1 if stage == 0 else 2
        layers.append(_Block(widths[stage], widths[stage + 1], stride))
        layers += [_Block(widths[stage + 1], widths[stage + 1], 1) for _ in range(blocks - 1)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes)]
    net = nn.Sequential(*layers)
    initialise_convolutions(net)
    nn.init.zeros_(layers[-1].bias)  # type: ignore[arg-type]
    return Classifier(net, normalize, in_channels)
