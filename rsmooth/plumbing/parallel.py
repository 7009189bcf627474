"""This process among those of a run: its rank, their number, its device.

torchrun says them in the environment; outside of it there is one process. Imports torch on use.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def rank_and_world() -> tuple[int, int]:
    """This process' number and their count; (0, 1) outside of torchrun."""
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if not 0 <= rank < world:
        raise ValueError(
            f"expected 0 <= RANK < WORLD_SIZE in the environment, got {rank} and {world}; start "
            "the processes by torchrun"
        )
    return rank, world


def first_rank() -> bool:
    """Whether this is the process that writes and speaks for all: the only one, or rank 0."""
    return os.environ.get("RANK", "0") == "0"


def local_device(device: torch.device) -> torch.device:
    """The device of this process: under torchrun each takes the GPU of its own number."""
    import torch

    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def pick_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, "cuda" this process' own GPU.

    ValueError for what is no device, for "meta", which computes nothing, and for a GPU that is not
    there.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        picked = torch.device(name)
    except RuntimeError:
        picked = torch.device("meta")
    if picked.type == "meta":
        raise ValueError(f"expected a device, got {name!r}; use cpu, cuda, cuda:1 or auto")
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"expected a device of this machine, got {name!r}, and it has no CUDA; use cpu or auto"
        )
    if picked.type == "cuda" and (picked.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"expected a device of this machine, got {name!r}, and it has "
            f"{torch.cuda.device_count()} GPUs, numbered from 0; use cuda or auto"
        )
    return picked if picked.index is not None else local_device(picked)
