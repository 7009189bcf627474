"""What the processes of one run share, and two of them at work."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.training import distributed
from rsmooth.training.distributed import Ranks, joined
from rsmooth.training.views import same_memory
from tests.processes import PROCESSES
from tests.training import several
from tests.training.helpers import classifier


def test_shares_part_every_mini_batch() -> None:
    positions = torch.arange(7)
    shares = [Ranks(rank, 3).share(positions) for rank in range(3)]
    assert torch.equal(torch.cat(shares).sort().values, positions)
    assert not len(Ranks(2, 3).share(torch.arange(2)))


def test_one_process_needs_no_others() -> None:
    with joined(torch.device("cpu")) as ranks:
        assert (ranks.first, ranks.size, ranks.agree(2.5, torch.device("cpu"))) == (True, 1, 2.5)
        base = nn.Linear(2, 2)
        assert ranks.wrap(ranks.synchronised(base)) is base
        assert ranks.share_object({"a": 1}) == {"a": 1}
        assert torch.equal(ranks.total(torch.ones(2)), torch.ones(2))


def test_buffers_become_those_of_the_first_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of any memory format, which what is sent must not have."""

    def broadcast(tensor: torch.Tensor, src: int) -> None:
        assert tensor.is_contiguous()
        assert src == 0
        tensor.fill_(7)

    monkeypatch.setattr(distributed.dist, "broadcast", broadcast)
    base = nn.BatchNorm2d(3)
    base.register_buffer("blur", torch.rand(2, 3, 2, 2).to(memory_format=torch.channels_last))
    Ranks(1, 2).settle([base])
    assert all(bool((buffer == 7).all()) for buffer in base.buffers())
    assert base.blur.is_contiguous(memory_format=torch.channels_last)
    Ranks().settle([nn.BatchNorm2d(3)])  # one process asks nobody


def test_the_view_for_synchronised_batch_norm_shares_weights_and_statistics() -> None:
    base = classifier().base
    view = nn.SyncBatchNorm.convert_sync_batchnorm(same_memory(base))
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in view.modules())
    assert not any(isinstance(layer, nn.SyncBatchNorm) for layer in base.modules())
    ours, theirs = base.state_dict(keep_vars=True), view.state_dict(keep_vars=True)
    assert all(ours[name].data_ptr() == theirs[name].data_ptr() for name in ours)
    assert all(ours[name] is theirs[name] for name, _ in base.named_parameters())


@pytest.mark.usefixtures("plugins")
def test_methods_of_several_passes_train_alike_in_two_processes(tmp_path: Path) -> None:
    """Several passes, a moving average, weighted epochs; 13 images leave shares of unequal size."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    processes = [
        PROCESSES.Process(target=several.live, args=(tmp_path, rank, port)) for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0]
    files = [tmp_path / f"{rank}.pt" for rank in (0, 1)]
    found, other = (torch.load(file, weights_only=True) for file in files)
    assert all(torch.equal(found[name], other[name]) for name in several.METHODS)
    for name, theirs in found.items():
        torch.testing.assert_close(several.run(name), theirs, rtol=1e-4, atol=1e-6)
    ours, theirs = (torch.load(tmp_path / f"norms-{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(map(torch.equal, ours, theirs)), "expected one network, whichever process gives it"
    for found in ours:
        # Validation is of the network that is handed over, on the shares of both processes.
        assert float(found[1]) == pytest.approx(float(found[2]), rel=1e-5)
