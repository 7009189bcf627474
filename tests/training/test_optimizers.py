"""Each named optimiser is torch's, with the recipe's options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from rsmooth.defenses import Trainer
from tests.training.helpers import classifier, images, weights

OPTIONS: dict[str, Any] = {"lr": 0.05, "momentum": 0.8, "weight_decay": 0.01}


def expected(name: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if name == "sgd":
        return torch.optim.SGD(parameters, **OPTIONS)
    if name == "nesterov":
        return torch.optim.SGD(parameters, nesterov=True, **OPTIONS)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(parameters, lr=0.05, betas=(0.8, 0.999), weight_decay=0.01)


@pytest.mark.parametrize("name", ["sgd", "nesterov", "adam", "adamw"])
def test_steps_are_those_of_torch(name: str) -> None:
    chosen = {"nesterov": True} if name == "nesterov" else {"optimizer": name}
    found = []
    for build in (Trainer(**OPTIONS, **chosen).build_optimizer, lambda p: expected(name, p)):
        parameter = nn.Parameter(torch.linspace(-1, 1, 5))
        optimizer = build([parameter])
        for step in range(4):
            optimizer.zero_grad()
            (parameter * (step + 1)).sin().sum().backward()
            optimizer.step()
        found.append(parameter.detach())
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_training_with_it_resumes_to_the_same_bits(name: str, tmp_path: Any) -> None:
    options: dict[str, Any] = {
        "optimizer": name,
        "lr": 0.01,
        "epochs": 2,
        "batch_size": 12,
        "precision": "float32",
    }

    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    whole, first, again = classifier(), classifier(), classifier()
    Trainer(**options).fit(whole, images(), progress=False)
    run: dict[str, Any] = {"run_dir": tmp_path, "progress": False}
    with pytest.raises(KeyboardInterrupt):
        Trainer(**options, checkpoint_seconds=1e-9).fit(first, images(), callback=stop, **run)
    Trainer(**options).fit(again, images(), **run)
    assert torch.equal(weights(again), weights(whole))
