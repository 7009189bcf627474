"""The choice of a profile for a run: by the network, the number of samples and the kind of machine.

Nothing is timed. In floating point each profile makes another function of the same network. So the
same model, settings and kind of machine must give the same profile, however busy the machine is,
however many images there are, and whatever a compiler's cache holds.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import torch

from rsmooth.certify.settings import Execution
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.profile import Profile, plain_profile
from rsmooth.models.int8.network import DTYPE
from rsmooth.plumbing.machine import computes_bfloat16, remark_on_emulation
from rsmooth.smoothed import SmoothedClassifier

logger = logging.getLogger(__name__)

# Floating-point operations per certified image. Below, bfloat16 saves a hundredth of a second per
# image on a core, and float32 is repeated to the bit by more kinds of machines.
BFLOAT16_WORTH = 1e9
# Above, the network is compiled, which takes 5 to 30 s. A core needs about 15 s for as many
# operations, and a compiled network is at most 1.15 times faster there (resnet8 and resnet20 on
# AVX512). On a GPU, 500 images of that many take a minute, and a compiled network is 1.3 to 1.4
# times faster (resnet20 and resnet110 on an H200).
COMPILE_WORTH = {"cpu": 2e12, "cuda": 5e12}


def choose_network(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, operations: float
) -> FixedBatchNetwork:
    """The network for noisy images (C, H, W) = ``shape``.

        choose_network(g, torch.Size((3, 32, 32)), CertifySettings(), operations=1e12)

    operations: floating-point operations that an image needs, with all its noisy copies. It is a
        product of the model's and of the settings', and not measured.

    With precision="auto", bfloat16 is taken where the machine computes it natively and an image is
    costly enough. With compile="auto", the network is compiled where an image is very costly. A
    candidate that cannot run here, as for lack of a compiler, is passed over. An Int8Network has
    one profile. Warns of bfloat16 that was asked for where there are no instructions for it.
    """
    plain = plain_profile(g, shape, settings)
    if plain.dtype == DTYPE:
        return FixedBatchNetwork(g, plain)
    if plain.dtype == "bfloat16":
        remark_on_emulation(plain.device)
    profiles = [plain]
    if (
        settings.precision == "auto"
        and operations >= BFLOAT16_WORTH
        and computes_bfloat16(plain.device)
    ):
        profiles = [replace(plain, dtype="bfloat16"), plain]
    kind = torch.device(plain.device).type
    if settings.compile == "always":
        profiles = [replace(profile, compiled="inductor") for profile in profiles]
    elif settings.compile == "auto" and operations >= COMPILE_WORTH.get(kind, math.inf):
        ways = ("inductor", "cuda-graph") if kind == "cuda" else ("inductor",)
        profiles = [*(replace(profiles[0], compiled=way) for way in ways), *profiles]
    found = (_if_it_runs(g, shape, profile) for profile in profiles[:-1])
    return next(filter(None, found), None) or FixedBatchNetwork(g, profiles[-1])


def _if_it_runs(
    g: SmoothedClassifier, shape: torch.Size, profile: Profile
) -> FixedBatchNetwork | None:
    """The network, if a pass shows that it runs here."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand((profile.batch, *shape), generator=generator, device="cpu")
    try:
        network = FixedBatchNetwork(g, profile)
        network(points.to(network.device)).cpu()
    except torch.OutOfMemoryError:
        raise  # at another moment there may be enough
    # A missing compiler, a layer without this dtype: whatever it raises, it means no.
    except Exception as error:
        logger.info("passing over %s: %s", profile, error)
        return None
    return network
