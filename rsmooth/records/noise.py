"""The noise that a record states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rsmooth.noise.distributions import Gaussian, NoiseDistribution, noise_of_record
from rsmooth.plumbing.errors import RecordError

_ARITHMETIC = ("grid", "integer", "float")  # what "noise" alone used to say


def recorded_noise(provenance: Mapping[str, Any]) -> NoiseDistribution | None:
    """The noise distribution of a record; None where it names none.

        recorded_noise({"sigma": 0.25})                                     # Gaussian(0.25)
        recorded_noise({"noise": {"distribution": {"name": "uniform", "half_width": 0.5}}})

    Published tables name none, and deterministic certificates have none. Old records name sigma
    alone, and are Gaussian. RecordError for an unknown noise, and for one said in another way: its
    radii must not pass for Gaussian ones.
    """
    noise, sigma = provenance.get("noise"), provenance.get("sigma")
    said = noise.get("distribution", noise.get("name")) if isinstance(noise, Mapping) else noise
    try:
        if isinstance(said, Mapping):
            return noise_of_record(said)
        if said not in (None, *_ARITHMETIC):
            raise ValueError(
                f"expected noise as {{'distribution': {{'name': ..., its scale}}}}, got {noise!r}"
            )
        return Gaussian(float(sigma)) if sigma else None
    except (TypeError, ValueError) as error:
        raise RecordError(
            f"{error}; this record's noise is not known here: install or register it"
        ) from None


def required_noise(provenance: Mapping[str, Any]) -> NoiseDistribution:
    """As ``recorded_noise``; RecordError, with the remedy, where the record names none."""
    noise = recorded_noise(provenance)
    if noise is None:
        raise RecordError(
            "expected a record that names its noise distribution, got one without; certify with "
            "this package to have one"
        )
    return noise


def noise_words(provenance: Mapping[str, Any]) -> str | None:
    """The noise of a record for a table: "σ=0.25", "uniform λ=0.5"; None where it names none."""
    noise = recorded_noise(provenance)
    if noise is None:
        return None
    symbol = {"sigma": "σ", "half_width": "λ"}.get(noise.scale_name, noise.scale_name)
    scale = f"{symbol}={noise.scale_value:g}"
    return scale if isinstance(noise, Gaussian) else f"{noise.name} {scale}"


def float_noise(provenance: Mapping[str, Any]) -> bool:
    """Whether the noise was added in floating point, where rounding can break a certificate."""
    noise = provenance.get("noise")
    return isinstance(noise, Mapping) and "float" in (noise.get("kind"), noise.get("arithmetic"))
