"""A small network that was trained on digits, and files of it in the layouts of others."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from rsmooth import MODELS, load_dataset
from rsmooth.data.images import ImageData
from rsmooth.doctor.sample import Sample, sample
from rsmooth.models.normalize import Classifier

NORMALIZE, SIGMA = ((0.5,), (0.5,)), 0.25


def test_images() -> ImageData:
    data = load_dataset("digits").test
    assert data is not None
    return data


test_images.__test__ = False  # type: ignore[attr-defined]


@cache
def digits_sample() -> Sample:
    return sample(test_images(), "--dataset digits")


@cache
def _trained_once(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    net = MODELS.create("small-cnn", in_channels=1, width=8, normalize=NORMALIZE)
    data = load_dataset("digits", validation=0).train
    assert data is not None
    x, y = data.images.float() / 255, data.labels
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    for _ in range(7):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            noisy = x[batch] + SIGMA * torch.randn_like(x[batch])
            cross_entropy(net(noisy), y[batch]).backward()
            optimizer.step()
    return {name: tensor.detach() for name, tensor in net.state_dict().items()}


def trained(seed: int = 0) -> Classifier:
    """A small CNN on digits, trained with sigma 0.25 under the normalisation 0.5:0.5."""
    net: Classifier = MODELS.create("small-cnn", in_channels=1, width=8, normalize=NORMALIZE)
    net.load_state_dict(_trained_once(seed))
    return net.eval()


def weights(prefix: str = "") -> dict[str, torch.Tensor]:
    """The weights of the network without its normalisation."""
    return {prefix + name: each.clone() for name, each in trained()[1].state_dict().items()}


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


class Doubled(nn.Module):
    """A network whose answers go through something else."""

    def __init__(self, net: nn.Module, last: nn.Module) -> None:
        super().__init__()
        self.net, self.last = net, last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.last(self.net(x))
        return answer


class Permuted(nn.Module):
    """The outputs in another order: class k is answered as ``order[k]``."""

    def __init__(self, order: list[int]) -> None:
        super().__init__()
        self.order = order

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        out = torch.empty_like(logits)
        out[:, self.order] = logits
        return out
