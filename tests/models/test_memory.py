"""The layout of weights: torch's own where it has one, and none is refused."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rsmooth import SmoothAdvPGD, SmoothedClassifier, Trainer, certify
from rsmooth.models.memory import channels_last
from rsmooth.models.resnet import resnet20


class Rotated(nn.Module):
    """A convolution whose kernels stand in four rotations, as one parameter of five dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.linspace(-1, 1, 2 * 4 * 9).view(2, 4, 1, 3, 3))
        self.head = nn.Linear(8 * 36, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.conv2d(x, self.kernels.flatten(0, 1)).flatten(1))
        return logits


def test_it_is_what_torch_does() -> None:
    """To the stride, also of kernels for which both layouts are one."""
    ours = resnet20(num_classes=3, in_channels=1)
    theirs = copy.deepcopy(ours).to(memory_format=torch.channels_last)
    assert channels_last(ours) is ours
    for name, value in theirs.state_dict().items():
        assert ours.state_dict()[name].stride() == value.stride()
        assert torch.equal(ours.state_dict()[name], value)


def test_a_parameter_of_five_dimensions_is_trained_attacked_and_certified() -> None:
    g = SmoothedClassifier(Rotated(), sigma=0.25, num_classes=3)
    x, y = torch.arange(4 * 64).view(4, 1, 8, 8) / 255, torch.arange(4) % 3
    attack = SmoothAdvPGD(epsilon=0.2, steps=1)
    trainer = Trainer(attack=attack, epochs=1, batch_size=2, optimizer="muon", lr=0.01)
    trainer.fit(g, (x, y), progress=False)
    assert attack(g, x, y, precision="auto").shape == x.shape
    assert certify(g, x[:1], n0=10, n=20).counts.sum() == 20
