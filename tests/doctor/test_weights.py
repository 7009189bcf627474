"""What is suspicious in weights alone."""

from __future__ import annotations

import re

import pytest
import torch

from rsmooth.doctor.weights import nearest, parameters, statistics_lack, suspicions
from rsmooth.registry import MODELS

from .helpers import weights


def test_trained_weights_are_fine() -> None:
    assert suspicions(weights()) == []


@pytest.mark.parametrize(
    ("change", "mark", "topic", "words"),
    [
        ({"11.weight": torch.full((10, 64), float("nan"))}, "wrong", "weights", "NaN .* 11.weight"),
        ({"11.weight": torch.zeros(10, 64)}, "wrong", "weights", "the same in 11.weight"),
        ({"1.running_var": -torch.ones(8)}, "wrong", "batch norm", "negative variances in 1"),
        (
            {"1.running_mean": torch.zeros(8), "1.running_var": torch.ones(8)},
            "look",
            "batch norm",
            "1 of 3 layers have untouched",
        ),
        ({"0.weight": torch.rand(8, 1, 3, 3).half()}, "look", "precision", "float16"),
        ({"0.weight": torch.rand(8, 1, 3, 3).bfloat16()}, "look", "precision", "bfloat16"),
    ],
)
def test_each_suspicion(change: dict[str, torch.Tensor], mark: str, topic: str, words: str) -> None:
    [found] = suspicions({**weights(), **change})
    assert (found.mark, found.topic) == (mark, topic)
    assert re.search(words, found.text)


def test_batch_norm_that_was_never_in_train_mode() -> None:
    fresh = MODELS.create("small-cnn", in_channels=1)[1].state_dict()
    [found] = suspicions(fresh)
    assert (found.mark, found.topic) == ("wrong", "batch norm")
    assert "3 of 3 layers have untouched" in found.text


def test_what_a_part_of_a_network_lacks() -> None:
    inner = weights("net.")
    del inner["net.6.weight"]
    inner["net.probe"] = torch.ones(2)
    [near] = [each for each in nearest(inner) if each.name == "small-cnn"]
    assert (near.missing, near.unexpected) == (["net.6.weight"], ["net.probe"])
    assert near.prefix == "net."
    assert not statistics_lack(near)


def test_running_statistics_that_were_not_saved() -> None:
    inner = {name: each for name, each in weights().items() if "running" not in name}
    [near] = nearest(inner)
    assert near.name == "small-cnn"
    assert statistics_lack(near)


def test_nothing_is_near_to_something_else() -> None:
    assert nearest({"blocks.0.attn.qkv.weight": torch.ones(3, 3)}) == []


def test_parameters() -> None:
    base = MODELS.create("small-cnn", in_channels=1, width=8)
    assert parameters(base[1].state_dict()) == sum(p.numel() for p in base.parameters())
