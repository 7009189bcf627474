"""Training speed, in sizes that take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth import SmoothAdvPGD, SmoothedClassifier
from rsmooth.benchmarks.train_speed import EPSILON, SIGMA, _plain_attack, main


def test_both_methods_are_measured_both_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "speed.json"
    tiny = ["--batch", "4", "--steps", "1", "--repeats", "1", "--workers", "0", "--device", "cpu"]
    assert main(["--model", "resnet8", *tiny, "--precision", "float32", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "| gaussian | 1 | rsmooth |" in shown
    assert "| smoothadv | 2 | rsmooth |" in shown
    content = json.loads(out.read_text())
    for row in content["rows"]:
        assert row["ratio"] == pytest.approx(row["ours"] / row["plain"])
        assert (len(row["all"]["plain"]), len(row["all"]["ours"])) == (1, 1)
    assert content["options"]["batch"] == 4
    assert "commit" in content["provenance"]


def test_the_plain_attack_is_that_of_the_trainer() -> None:
    """A comparison of speed is fair only if both loops do the same.

    torch.renorm adds 1e-7 to the norm that it divides by, hence the tolerance.
    """
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 10)).double()
    x, y = torch.rand(5, 3, 4, 4, dtype=torch.float64), torch.arange(5)
    noise = SIGMA * torch.randn(5, 2, 3, 4, 4, dtype=torch.float64)
    ours = SmoothAdvPGD(epsilon=EPSILON, steps=2)(
        SmoothedClassifier(net, SIGMA, 10), x, y, noise=noise
    )
    plain = _plain_attack(net, x, y, noise.flatten(0, 1), 2)
    torch.testing.assert_close(plain, ours, rtol=0, atol=1e-6)
