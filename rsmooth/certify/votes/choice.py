"""The choice of a profile for a run: candidates are timed against each other on this device."""

from __future__ import annotations

import logging
import time
from dataclasses import replace

import torch

from rsmooth.certify.settings import Execution
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.profile import Profile, plain_profile
from rsmooth.smoothed import SmoothedClassifier

logger = logging.getLogger(__name__)

# A second candidate is timed where the run would take longer than this in plain float32.
PROBE_WORTH_SECONDS = 10.0
# The network is compiled (5 to 30 s) where the best candidate would take longer than this.
COMPILE_WORTH_SECONDS = 60.0
# A smaller gain may be chance, since only a few passes are timed.
GAIN_NEEDED = 1.1


def choose_network(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, samples: float
) -> FixedBatchNetwork:
    """The network for a run of about ``samples`` noisy images (C, H, W) = ``shape``.

        choose_network(g, torch.Size((3, 32, 32)), CertifySettings(), samples=1e6)

    A short run takes float32, unless the settings say otherwise, so that every bit can be repeated.
    A long run with precision="auto" or compile="auto" times the candidates on this device and takes
    the fastest.
    """
    base = plain_profile(g, shape, settings)
    network = FixedBatchNetwork(g, base)
    if settings.precision == "auto" or settings.compile != "never":
        probe = _Probe(g, shape, samples, network)
        if (
            settings.precision == "auto"
            and probe.forecast > PROBE_WORTH_SECONDS
            and _has_fast_bfloat16(base.device)
        ):
            probe.consider(replace(base, dtype="bfloat16"))
        if settings.compile == "always" or (
            settings.compile == "auto" and probe.forecast > COMPILE_WORTH_SECONDS
        ):
            probe.consider(
                replace(probe.best.profile, compiled="inductor"),
                needed=settings.compile == "always",
            )
            if base.device.startswith("cuda") and probe.best.profile.compiled == "no":
                probe.consider(replace(probe.best.profile, compiled="cuda-graph"))
        network = probe.best
    return network


class _Probe:
    """Candidates timed against each other."""

    def __init__(
        self, g: SmoothedClassifier, shape: torch.Size, samples: float, first: FixedBatchNetwork
    ) -> None:
        self._g, self._shape, self._samples = g, shape, samples
        self.best = first
        self._seconds = pass_seconds(first, shape)

    @property
    def forecast(self) -> float:
        """Seconds that the run would take with the best candidate so far."""
        return self._seconds * self._samples / self.best.batch

    def consider(self, profile: Profile, needed: bool = False) -> None:
        """Take the candidate if it runs, and if it is faster or ``needed``."""
        try:
            candidate = FixedBatchNetwork(self._g, profile)
            seconds = pass_seconds(candidate, self._shape)
        # a missing compiler, a layer without this dtype, too little memory: all mean no
        except Exception as error:
            if needed:
                raise
            logger.info("passing over %s: %s", profile, error)
            return
        if needed or seconds * GAIN_NEEDED < self._seconds:
            self.best, self._seconds = candidate, seconds


def pass_seconds(network: FixedBatchNetwork, shape: torch.Size) -> float:
    """Seconds per pass over images (C, H, W) = ``shape``: the least of three.

    A first pass is not counted.
    """
    points = torch.rand((network.batch, *shape), generator=torch.Generator().manual_seed(0)).to(
        network.device
    )
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        network(points).cpu()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _has_fast_bfloat16(device: str) -> bool:
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
