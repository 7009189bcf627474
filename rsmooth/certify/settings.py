"""What a certification is asked to do: one value that the calls, the records and the worker
processes share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from rsmooth.certify.proof.bounds import check_n
from rsmooth.certify.proof.rules import stopping_rule
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.plumbing.numbers import check_alpha

Mode = Literal["fixed", "radius", "grid", "anytime"]
Target = Literal["predict", "label"]
Noise = Literal["grid", "float"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Compile = Literal["auto", "always", "never"]

# Share of n = 100,000 that an image needs on average: it only sizes the pay-off of compiling and of
# worker processes. The means over the models and options of
# benchmarks/results/certify-samples-digits.json.
EXPECTED_SHARE: dict[Mode, float] = {"fixed": 1.0, "radius": 0.017, "grid": 0.12, "anytime": 0.59}


@dataclass(frozen=True, kw_only=True)
class CertifySettings:
    """How to certify; everything here stands in the record of the run.

    n0: samples that select the class; n: the most samples that estimate its probability; alpha:
    failure probability of each image's certificate. seed: of all noise, chosen before any result is
    seen (see ``certify``).
    mode: "fixed" draws n samples (Cohen et al. 2019); "radius" decides whether the certified radius
    reaches ``radius``; "grid" decides every one of ``radii``; "anytime" stops once n samples could
    add no more than ``tolerance``.
    target: "predict" certifies the predicted class; "label" the true one, without selection (n0 is
    not used).
    noise: "grid" is exact on the 1/255 grid of 8-bit images; "float" adds float32 noise, as
    published.
    precision: "auto" uses bfloat16 where a large run is faster with it; the others are taken as
    said.
    compile: whether the network is compiled; "auto" does it where the run is long enough to gain
    from it.
    batch_size: noisy images in a pass; None chooses. device: None is that of the model.
    ValueError for values out of range; ``rule`` raises it for an option that the mode does not use
    or lacks.
    """

    n0: int = 100
    n: int = 100_000
    alpha: float = 1e-3
    seed: int = 0
    mode: Mode = "fixed"
    radius: float | None = None
    radii: Sequence[float] | None = None
    tolerance: float | None = None
    target: Target = "predict"
    noise: Noise = "grid"
    precision: Precision = "auto"
    compile: Compile = "auto"
    batch_size: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        check_n(self.n, check_alpha(self.alpha))
        if self.n0 < 1:
            raise ValueError(f"expected n0 >= 1, got {self.n0}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"expected batch_size >= 1, got {self.batch_size}")
        for name, choices in (
            ("mode", Mode),
            ("target", Target),
            ("noise", Noise),
            ("precision", Precision),
            ("compile", Compile),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"expected {name} to be one of {', '.join(get_args(choices))}, "
                    f"got {getattr(self, name)!r}"
                )
        if self.radii is not None:
            object.__setattr__(self, "radii", tuple(float(radius) for radius in self.radii))

    def rule(self, sigma: float, total_variation: float) -> StoppingRule:
        """When an image's sampling stops and what is certified then; ValueError where n can never
        certify.
        """
        return stopping_rule(
            self.mode,
            sigma,
            self.n,
            self.alpha,
            radius=self.radius,
            radii=self.radii,
            tolerance=self.tolerance,
            total_variation=total_variation,
        )

    def expected_samples(self, images: int) -> float:
        """A rough forecast of how many noisy images the base classifier will see."""
        return images * (self.n0 + self.n * EXPECTED_SHARE[self.mode])

    def statement(self) -> dict[str, Any]:
        """What of the settings decides the result, for the record; the numerics profile says how it
        was computed.
        """
        values = asdict(self)
        for execution in ("precision", "compile", "batch_size", "device", "noise"):
            del values[execution]
        options = {name: values.pop(name) for name in ("radius", "radii", "tolerance")}
        return {
            **values,
            "mode_options": {name: value for name, value in options.items() if value is not None},
        }
