"""The cost of noise, in sizes that take seconds."""

from __future__ import annotations

import pytest
import torch

from rsmooth.benchmarks import noise_cost
from rsmooth.benchmarks.noise_cost import main


@pytest.fixture(autouse=True)
def _threads() -> object:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_each_noise_has_a_row(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    announced: list[int] = []
    # Compilation of the kernels takes longer than the rest.
    for name in ("expect_noise", "expect_normals"):
        monkeypatch.setattr(noise_cost, name, lambda values, _: announced.append(values))
    assert main(["--model", "resnet8", "--batch", "2", "--rounds", "1"]) == 0
    title, header, *rows, kernels = capsys.readouterr().out.strip().splitlines()
    assert title.startswith("resnet8, batch 2, cpu")
    assert header.split()[0] == "noise"
    assert rows[0].startswith("torch.randn")
    assert [row.split(",")[0] for row in rows[1:]] == [
        *["grid"] * 4,
        *["training", "training compiled"],
        *["grid compiled"] * 4,
    ]
    assert all(float(row.split()[-1].rstrip("%")) > 0 for row in rows)
    assert kernels.startswith("kernels:")
    assert announced
