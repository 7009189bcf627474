"""What a certificate records of itself: noise, settings, and the statement that follows."""

from __future__ import annotations

from typing import Any

from rsmooth.certify.settings import CertifySettings
from rsmooth.certify.votes.noisy import NoisyImages
from rsmooth.noise.distributions import Gaussian
from rsmooth.records.statement import Statement


def stated(settings: CertifySettings, source: NoisyImages) -> dict[str, Any]:
    """The part of a record's provenance that results and journals share.

        stated(CertifySettings(), noisy_images("integer", Gaussian(0.25), 0, shape))["statement"]

    "noise" holds the distribution and its arithmetic. "sigma" is there only for Gaussian noise,
    because earlier versions look for it.
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
