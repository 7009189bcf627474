"""All ways to compute the noise give the same bits: NumPy, torch on any device, torch compiled."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from rsmooth.noise.compiled import CompiledOnceWorthIt
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.noise.grid import SIGN, UNDECIDED, GridSampler, at_most, dense, guide_table, lazy
from rsmooth.noise.keys import Key
from rsmooth.noise.known_answers import Check, exact
from rsmooth.noise.normal import in_chunks, normals
from rsmooth.noise.philox import as_uint64, device_keys, pairs_numpy, pairs_torch

VALUES = 243


def same_bits(
    noise: NoiseDistribution, key: Key, device: torch.device, *, compiled: bool
) -> Iterator[Check]:
    """Words of Philox and values of the grid, each against those that NumPy computes.

    With them the compiled noise of training, against the uncompiled one.

    compiled: whether to compile the kernels too, which takes seconds. Where there is no working
        compiler, the check says so and passes, since nothing compiled is used then.
    """
    ids = torch.tensor([0, 1, 2**32, 2**62 + 1], device="cpu").repeat_interleave(16)
    samples = torch.tensor([0, 1, 2**31, 2**32 - 1], device="cpu").repeat(16)
    words = torch.from_numpy(
        pairs_numpy(as_uint64(ids), as_uint64(samples), key, 3, 31).view("int64")
    )
    values = GridSampler(noise).sample(key, ids, samples, (VALUES,))
    there = ids.to(device), samples.to(device), device_keys(key, device)
    yield _equal(f"words by torch on {device}", pairs_torch(*there, 3, 31), words)
    limits = noise.thresholds()
    cuts = (torch.from_numpy(limits.values.view("int64")) ^ SIGN).to(device)
    table = guide_table(limits)
    room = at_most(len(ids) * VALUES, float((table == UNDECIDED).mean()))
    on_device = torch.from_numpy(table).to(device)
    found = lazy(*there, cuts, on_device, limits.lowest, VALUES, room)
    yield _equal(f"values by table on {device}", found, values)
    found = dense(*there, cuts, limits.lowest, VALUES)
    yield _equal(f"values by search on {device}", found, values)
    if compiled:
        kernel = CompiledOnceWorthIt(pairs_torch, after=0, least=0)
        yield _equal_or_none(f"compiled words on {device}", kernel, words, *there, 3, 31)
        kernel = CompiledOnceWorthIt(dense, after=0, least=0)
        name = f"compiled values on {device}"
        yield _equal_or_none(name, kernel, values, *there, cuts, limits.lowest, VALUES)
    if compiled and device.type == "cpu":
        kernel = CompiledOnceWorthIt(normals, after=0, least=0)
        name = "compiled training noise on cpu"
        yield _equal_or_none(name, kernel, in_chunks(words), *there, 3, 31)


def _equal(name: str, found: Tensor, wanted: Tensor) -> Check:
    return exact(name, torch.equal(found.cpu(), wanted))


def _equal_or_none(
    name: str, kernel: CompiledOnceWorthIt, wanted: Tensor, *arguments: Tensor | int
) -> Check:
    found = kernel(wanted.numel(), *arguments)
    return Check(name, 1.0, kernel.status) if found is None else _equal(name, found, wanted)
