"""The cost of bounds, in sizes that take seconds."""

import pytest
import torch

from rsmooth.benchmarks.bound_cost import main


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_each_bound_has_a_row(capsys):
    assert main(["--models", "resnet8", "--batch", "2", "--rounds", "1"]) == 0
    title, header, *rows = capsys.readouterr().out.strip().splitlines()
    assert title.startswith("batch 2, float32")
    assert header.split()[0] == "network"
    assert [row.split()[1] for row in rows] == ["ibp", "crown-ibp"]
    assert all(float(cell) > 0 for row in rows for cell in row.split()[2:])
