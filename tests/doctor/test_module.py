"""Modules in memory: outputs, dropout, batch norm, labels."""

from __future__ import annotations

import torch
from torch import nn

from rsmooth.doctor import examine_model

from .helpers import Doubled, Permuted, test_images, trained


def topics(base: nn.Module) -> dict[str, tuple[str, str]]:
    report = examine_model(base, test_images())
    return {each.topic: (each.mark, each.text) for each in report.findings}


def test_a_good_module() -> None:
    base = trained().train()
    found = topics(base)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert found["normalisation"][1].startswith("as it is, and the statistics of batch norm")
    assert base.training


def test_softmax() -> None:
    assert topics(Doubled(trained(), nn.Softmax(1)))["outputs"][0] == "wrong"
    assert topics(Doubled(trained(), nn.LogSoftmax(1)))["outputs"][0] == "ok"


def test_two_classes_swapped() -> None:
    mark, text = topics(Doubled(trained(), Permuted([0, 1, 2, 5, 4, 3, 6, 7, 8, 9])))["labels"]
    assert mark == "wrong"
    assert text.startswith("permuted: label -> answer: 3 -> 5, 5 -> 3.")


def test_a_constant_classifier() -> None:
    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.eye(10)[3].expand(len(x), 10) - 0.5

    found = topics(Constant())
    assert found["answers"][1].startswith("class 3 for each of")
    assert found["accuracy"][0] == "wrong"


def test_dropout_and_batch_norm_without_statistics() -> None:
    net = nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False), nn.Dropout(), nn.Linear(64, 10)
    )
    found = topics(net)
    assert found["dropout"][1].startswith("1 layers (2), off in eval mode")
    assert found["batch norm"][0] == "wrong"
    assert set(found) == {"dropout", "batch norm"}  # and its answers are not asked for
