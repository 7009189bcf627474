"""Known answers of generator and sampler, which every certification checks before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from rsmooth.noise.distributions import Gaussian, Laplace, NoiseDistribution, Uniform
from rsmooth.noise.grid import GridSampler
from rsmooth.noise.keys import derive_key
from rsmooth.noise.philox import philox_numpy, philox_torch, round_keys

# A p-value below it is a fault.
ALARM = 1e-12

# Counter, key, words: the vectors that the authors of Philox publish with Random123.
VECTORS = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)
# Of one sample under seed 0 for "estimate": the sum of v k_v over its values k_1 ... k_2000, in
# steps of 1/255. The tests compute it a second time, on Python integers. (Small scales have few
# thresholds to compute.)
IMAGE, SAMPLE, LENGTH = 2**32 + 5, 2**31 + 7, 2000
SUMS: tuple[tuple[NoiseDistribution, int], ...] = (
    (Gaussian(0.02), -304692),
    (Uniform(0.05), -450902),
    (Laplace(0.02), -357531),
)


@dataclass(frozen=True)
class Check:
    """One test of the noise, and the probability of what was seen if the noise is right.

    Check("gaussian sigma=0.25: variance", 0.31, "z = 1.02").passed

    p_value: 0 or 1 where the answer is known.
    """

    name: str
    p_value: float
    seen: str

    @property
    def passed(self) -> bool:
        """Whether what was seen is no fault: a p-value of at least 1e-12."""
        return self.p_value >= ALARM


def exact(name: str, right: bool) -> Check:
    """A test whose answer is known."""
    return Check(name, float(right), "as it must be" if right else "another answer")


def known_answers(device: torch.device) -> list[Check]:
    """Philox by NumPy and by torch, and the sampler of the 8-bit grid, against known numbers."""
    by_numpy = by_torch = True
    for counter, key, words in VECTORS:
        a, b, c, d = (np.array([word], dtype=np.uint64) for word in counter)
        by_numpy &= [int(word[0]) for word in philox_numpy(a, b, c, d, key)] == list(words)
        e, f, g, h = (torch.tensor([word], device=device) for word in counter)
        keys = torch.tensor(round_keys(key), device=device)
        by_torch &= [int(word) for word in philox_torch(e, f, g, h, keys)] == list(words)
    checks = [exact("Philox by NumPy", by_numpy), exact(f"Philox by torch on {device}", by_torch)]
    key = derive_key(0, "estimate")
    image, sample = torch.tensor([[IMAGE], [SAMPLE]], device="cpu")
    place = torch.arange(1, LENGTH + 1, device="cpu")
    for noise, wanted in SUMS:
        found = GridSampler(noise).sample(key, image, sample, (LENGTH,), device).cpu()
        checks.append(exact(f"known values of {noise}", int((found * place).sum()) == wanted))
    return checks


@lru_cache(maxsize=16)
def verify_known_answers(device: torch.device) -> None:
    """RuntimeError unless generator and sampler give the known answers on this device.

        verify_known_answers(torch.device("cpu"))

    It takes milliseconds, once per process and device.
    """
    wrong = [check.name for check in known_answers(device) if not check.passed]
    if wrong:
        raise RuntimeError(
            f"expected the known answers of the noise generator on {device}, got others for "
            f"{', '.join(wrong)}; certificates from here would be void: install numpy and torch "
            "anew, until rsmooth selftest passes"
        )
