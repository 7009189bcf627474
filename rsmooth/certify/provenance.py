"""What a certificate says of itself: the noise, the settings and the statement that follows."""

from __future__ import annotations

from typing import Any

from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.noisy import NoisyImages
from rsmooth.noise.distributions import Gaussian
from rsmooth.records.statement import Statement


def stated(settings: CertifySettings, source: NoisyImages) -> dict[str, Any]:
    """The part of a record's provenance that results and journals share.

    "sigma" is there for Gaussian noise only, where earlier versions look for it; "noise" holds the
    distribution and how it was computed.
    """
    noise = source.noise
    statement = Statement(
        norm=noise.norm,
        kind="probabilistic",
        method=f"{noise.name} smoothing",
        alpha=settings.alpha,
    )
    return {
        **({"sigma": noise.sigma} if isinstance(noise, Gaussian) else {}),
        **settings.statement(),
        "noise": source.record(),
        "statement": statement.record(),
    }
