"""What methods cost, in sizes that take seconds; passes are counted against the formula."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.benchmarks.method_cost import Method, _trainer, main, methods, run_steps
from rsmooth.registry import MODELS, TRAINERS
from rsmooth.smoothed import SmoothedClassifier

TINY = ["--model", "small-cnn", "--step", "2", "--steps", "1", "--rounds", "2"]


def test_rows_hold_formula_median_and_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "cost.json"
    only = ["--only", "stability", "smoothadv"]
    assert main([*TINY, *only, "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "cost.md").read_text() in shown
    content = json.loads(out.read_text())
    rows = {row["method"]: row for row in content["rows"]}
    assert list(rows) == ["gaussian", "stability", "smoothadv"]
    assert rows["gaussian"]["ratio_range"] == [1.0, 1.0]
    for row in rows.values():
        first = rows["gaussian"]["all_seconds_per_image"]
        ratios = [a / b for a, b in zip(row["all_seconds_per_image"], first, strict=True)]
        assert row["ratio"] == pytest.approx(sum(ratios) / 2)
        assert row["ratio_range"] == [min(ratios), max(ratios)]
        assert f"| {row['method']} |" in shown
    assert "commit" in content["provenance"]


@pytest.mark.parametrize("method", methods(), ids=lambda each: each.name)
def test_the_formula_counts_the_passes_of_every_method(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images that go through the network, forward, in the steps: of an attack and of training."""
    options = argparse.Namespace(step=2, steps=1, precision="float32")
    base = MODELS.create("small-cnn", num_classes=10, in_channels=3, width=4)
    seen, total = list[int](), list[int]()
    forward = nn.Conv2d.forward

    def counted(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        if self.in_channels == 3:
            seen.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", counted)
    g = SmoothedClassifier(base, 0.25, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_steps(method, options, g, lambda epoch, step: total.append(sum(seen)))
    trainer = _trainer(method, options)
    attack = getattr(trainer, "steps", 0) if trainer.attack is None else trainer.attack.steps
    per_image = (total[1] - total[0]) / options.step
    assert per_image == trainer.num_noise * (method.train_passes + attack)
    assert method.formula() == pytest.approx(
        trainer.num_noise * (method.train_passes + 2 * attack / 3)
    )


def test_every_method_is_there_but_those_for_other_things() -> None:
    others = {
        *("perturb-then-noise", "noise-then-perturb", "perturb-beside-noise"),
        *("denoiser", "rst-stab", "ibp", "crown-ibp", "mtl-ibp", "sabr", "wong-kolter"),
    }
    assert {each.trainer for each in methods()} == set(TRAINERS.own_names()) - others
