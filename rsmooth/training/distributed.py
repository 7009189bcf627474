"""Several processes, one training run: each takes its share of every mini-batch.

Under ``torchrun`` the processes find one another through its environment variables. Without it
there is one process, and nothing here communicates.

Batches, learning rate and random draws are those of the whole run, whatever its number of
processes. So the result is that of one process, up to the order of sums. The exception is batch
norm on CPUs, where each process normalises by the statistics of its own share: torch has a
synchronised one for GPUs only. A method may make as many passes over a mini-batch as it likes,
since all of them are one forward pass of what is distributed.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import chain, count
from typing import Any

import torch
import torch.distributed as dist

# Its functions have the process group of the moment as default argument. torch imports it when
# DistributedDataParallel is first made, and then they would keep that group for good.
import torch.distributed.nn.functional
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from rsmooth.training.views import same_memory


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of the run."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks to the user."""
        return self.rank == 0

    def share(self, positions: Tensor) -> Tensor:
        """The part of a mini-batch that is for this process; possibly empty."""
        return positions[self.rank :: self.size]

    def total(self, sums: Tensor) -> Tensor:
        """The sum of a tensor over all processes, the same on each."""
        if self.size > 1:
            sums = sums.clone()
            dist.all_reduce(sums)
        return sums

    def agree(self, value: float, device: torch.device) -> float:
        """The value of the first process, on every process."""
        if self.size == 1:
            return value
        box = torch.tensor([value], dtype=torch.float64, device=device)
        dist.broadcast(box, src=0)
        return float(box)

    def share_object(self, value: Any) -> Any:
        """The value of the first process, any that can be pickled, on every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def settle(self, modules: Iterable[nn.Module]) -> None:
        """Give the modules of every process the buffers of the first one's.

        On CPUs each has seen its own shares. What is saved is that of the first.
        """
        if self.size > 1:
            for buffer in chain.from_iterable(module.buffers() for module in modules):
                whole = buffer.detach().contiguous()  # which one that is channels last is not
                dist.broadcast(whole, src=0)
                buffer.detach().copy_(whole)

    def wait(self) -> None:
        """Return once every process of the run is here."""
        if self.size > 1:
            dist.barrier()

    def synchronised(self, base: nn.Module) -> nn.Module:
        """The base with batch norm over all processes, where torch has one; the same tensors."""
        if self.size == 1 or not next(base.parameters()).is_cuda:
            return base
        convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
        return convert(same_memory(base))

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes; its parameters stay the same."""
        if self.size == 1:
            return module
        return DistributedDataParallel(module, gradient_as_bucket_view=True)


# By far enough for the threads of a group to let go of their last tensors.
LAST_TENSOR_SECONDS = 0.05
# What tells one set of processes from another.
_PLACE = ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE", "TORCHELASTIC_RESTART_COUNT")
# Numbers the runs of this process, each of which needs addresses of its own.
_turns = count()


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """A context in which this process has joined the others that torchrun started, if any.

    A process group that is made here is left again at the end.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 and not dist.is_initialized():
        yield Ranks()
        return
    ours = not dist.is_initialized()
    if ours:
        _initialise("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    finally:
        if ours:
            _leave()


def _leave() -> None:
    """Leave the process group, and end its threads now.

    Whatever is distributed sits in cycles of references, which keep the group and its threads. If
    such a thread lets go of a tensor while the interpreter exits, the process dies by SIGABRT.
    """
    dist.destroy_process_group()
    # A thread needs the interpreter's lock to let go of its last tensor. With torch 2.6 the
    # collection waits for the thread, and keeps the lock meanwhile: both would wait for good.
    time.sleep(LAST_TENSOR_SECONDS)
    gc.collect()


@cache
def _meeting(place: tuple[str | None, ...]) -> tuple[Store, int, int]:
    """The store, rank and size of the processes at this place, for the life of this process.

    Without torchrun the first process keeps the store. If each run had one of its own, another
    process could come to that of the run before while it is closed, and wait in vain.
    """
    store, rank, size = next(rendezvous("env://"))
    return store, rank, size


def _initialise(backend: str) -> None:
    """Start torch's process group, with a store of its own for every run and every restart.

    torchrun may keep one store over restarts, and with it the addresses of processes that have
    died. The new ones would wait for those. Several nodes do not count restarts alike; there the
    store is left as torch sets it up.
    """
    store, rank, size = _meeting(tuple(os.environ.get(name) for name in _PLACE))
    turn = next(_turns)
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        restart = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = PrefixStore(f"restart {restart}, run {turn}", store)
    elif turn:
        store = PrefixStore(f"run {turn}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
