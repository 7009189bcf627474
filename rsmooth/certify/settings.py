"""The options of a certification or prediction, each declared once.

The calls, the command line, the records and the worker processes share these values. An option is a
field of the class that says what it decides. It needs no mention elsewhere.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Any, Literal, get_args

from rsmooth.certify.proof.bounds import check_n
from rsmooth.certify.proof.designs import PRESENT_DESIGN, SequentialDesign
from rsmooth.certify.proof.rules import DESIGNED_MODES, MODE_OPTIONS, stopping_rule
from rsmooth.certify.proof.stopping import StoppingRule
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.plumbing.names import check_keywords
from rsmooth.plumbing.numbers import check_alpha, check_integer

Mode = Literal["fixed", "radius", "grid", "anytime"]
Target = Literal["predict", "label"]
Arithmetic = Literal["integer", "float"]
Precision = Literal["auto", "float32", "bfloat16", "float16", "int8"]
Compile = Literal["auto", "always", "never"]

# The counter of a sample has 32 bits.
MOST_SAMPLES = 2**32

# What ``noise`` said before ``arithmetic`` did.
EARLIER_WORDS: dict[str, Arithmetic] = {"grid": "integer", "float": "float"}

# Share of n = 100,000 that an image needs on average: it only sizes the pay-off of compiling and of
# worker processes. The means over the models and options of
# benchmarks/results/certify-samples-digits.json.
EXPECTED_SHARE: dict[Mode, float] = {"fixed": 1.0, "radius": 0.017, "grid": 0.12, "anytime": 0.59}


def in_new_words(options: dict[str, Any]) -> None:
    """Replace ``noise`` among options by the arithmetic that it used to name, with a FutureWarning.

    ValueError where it names none, and for ``sigma``: the smoothed classifier holds the noise.
    """
    if "sigma" in options:
        raise ValueError(
            f"expected no sigma here, got {options['sigma']!r}; the smoothed classifier holds it: "
            "SmoothedClassifier(base, sigma=..., num_classes=...)"
        )
    noise = options.pop("noise", None)
    if noise is None:
        return
    if not isinstance(noise, str) or noise not in EARLIER_WORDS:
        raise ValueError(
            f"expected no noise here, got {noise!r}; the smoothed classifier holds the "
            "distribution, and arithmetic='integer' or 'float' says how it is computed"
        )
    found = EARLIER_WORDS[noise]
    if options.setdefault("arithmetic", found) != found:
        raise ValueError(
            f"expected one arithmetic, got noise={noise!r} and "
            f"arithmetic={options['arithmetic']!r}; leave noise out"
        )
    warnings.warn(
        f"noise={noise!r} is now arithmetic={found!r}; the next release accepts that word alone",
        FutureWarning,
        stacklevel=3,
    )


def _checked_words(kind: Any) -> Any:
    """The class, whose constructor takes earlier words, and names what is close to unknown ones."""
    plain = kind.__init__

    @wraps(plain)
    def init(self: Any, *args: Any, **options: Any) -> None:
        in_new_words(options)
        check_keywords(type(self), options, type(self).__name__)
        plain(self, *args, **options)

    kind.__init__ = init
    return kind


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How the network is executed.

        CertifySettings(precision="float32", compile="never", batch_size=256)

    precision: "auto" is bfloat16 where the device has instructions for it and an image needs 1e9
        operations or more, else float32. The others are used as given. "int8" is what "auto" is
        for an Int8Network, and of no other network.
    compile: whether the network is compiled. "auto" compiles where an image needs very many
        operations.
    batch_size: noisy images per pass; by default chosen by model and machine.
    device: such as "cuda:0"; None is that of the model.

    The choices depend on the model, the number of samples per image and the kind of machine. They
    do not depend on the number of images or on the load, and nothing is timed. The numerics profile
    of a record says what was chosen. ValueError for other values.
    """

    precision: Precision = "auto"
    compile: Compile = "auto"
    batch_size: int | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.batch_size is not None and _take_integer(self, "batch_size", 256) < 1:
            raise ValueError(f"expected batch_size >= 1, got {self.batch_size}")
        _check_choice("precision", self.precision, Precision)
        _check_choice("compile", self.compile, Compile)


@dataclass(frozen=True, kw_only=True)
class Drawing(Execution):
    """How the noise is computed; the noise section of a record says it.

    arithmetic: "integer" is exact on the 1/255 grid of 8-bit images. "float" adds float32 noise, as
        published, and is not sound in floating point.
    """

    arithmetic: Arithmetic = "integer"

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_choice("arithmetic", self.arithmetic, Arithmetic)


@dataclass(frozen=True, kw_only=True)
class Sampling(Drawing, ABC):
    """What every answer from votes depends on.

    alpha: failure probability per image.
    seed: of all noise; an integer chosen before any result is seen.
    """

    alpha: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "alpha", check_alpha(self.alpha))
        _take_integer(self, "seed", 0)

    @abstractmethod
    def expected_samples(self, images: int) -> float:
        """A rough forecast of how many noisy images the base classifier will see."""


@_checked_words
@dataclass(frozen=True, kw_only=True)
class PredictSettings(Sampling):
    """How to predict.

        PredictSettings(n=1000, alpha=1e-3, seed=0)

    n: samples per image that are voted on.

    The further options are those of ``Sampling``, ``Drawing`` and ``Execution``. ValueError for
    values out of range.
    """

    n: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n", check_n(self.n, self.alpha))
        _check_counters(n=self.n)

    def expected_samples(self, images: int) -> float:
        """How many noisy images the base classifier will see."""
        return float(images * self.n)


@_checked_words
@dataclass(frozen=True, kw_only=True)
class CertifySettings(Sampling):
    """How to certify.

        CertifySettings(n=10_000, mode="radius", radius=0.5)

    n0: samples per image that select the class. Modes "radius" and "grid" take fewer where the
        first ones are clear.
    n: the most samples per image that estimate its probability.
    mode: when sampling stops. "fixed" draws n samples (Cohen et al. 2019). "radius" decides whether
        the certified radius reaches ``radius``. "grid" decides this for each of ``radii``.
        "anytime" stops once n samples could add no more than ``tolerance``.
    radius: what mode "radius" asks about, in [0, 1] pixel units and in the norm of the noise.
    radii: what mode "grid" asks about, in the same unit.
    tolerance: how much of the radius mode "anytime" may miss, in the same unit.
    target: "predict" certifies the predicted class. "label" certifies the true one, without
        selection, so n0 is not used.
    design: of the tests of modes "radius" and "grid", for a run like an earlier one. None takes the
        present one; a journal that goes on keeps its own.

    The further options are those of ``Sampling`` (alpha, seed), ``Drawing`` (arithmetic) and
    ``Execution``. ValueError for values out of range. ``rule`` raises it for an option that the
    mode lacks or does not use.
    """

    n0: int = 100
    n: int = 100_000
    mode: Mode = "fixed"
    radius: float | None = None
    radii: Sequence[float] | None = None
    tolerance: float | None = None
    target: Target = "predict"
    design: SequentialDesign | None = field(default=None, metadata={"on the command line": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "n", check_n(self.n, self.alpha))
        if _take_integer(self, "n0", 100) < 1:
            raise ValueError(f"expected n0 >= 1, got {self.n0}")
        _check_counters(n=self.n, n0=self.n0)
        _check_choice("mode", self.mode, Mode)
        _check_choice("target", self.target, Target)
        for name in ("radius", "tolerance"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _number(name, getattr(self, name)))
        if self.radii is not None:
            object.__setattr__(self, "radii", _numbers("radii", self.radii))
        if not isinstance(self.design, SequentialDesign | None):
            raise ValueError(
                f"expected a SequentialDesign or None for design, got {self.design!r}; "
                "SequentialDesign.of_record makes one of a record"
            )

    def rule(self, noise: NoiseDistribution | float, total_variation: float) -> StoppingRule:
        """When the sampling of an image stops, and what is certified then.

            CertifySettings(n=1000).rule(Gaussian(0.25), total_variation=0.0).decide([990])

        noise: a distribution, or the sigma of Gaussian noise.
        total_variation: how far the sampled noise is from the ideal one over a whole image.

        ValueError where n can never certify.
        """
        return stopping_rule(
            self.mode,
            noise,
            self.n,
            self.alpha,
            radius=self.radius,
            radii=self.radii,
            tolerance=self.tolerance,
            total_variation=total_variation,
            design=self.design,
        )

    def expected_samples(self, images: int) -> float:
        """A rough forecast of how many noisy images the base classifier will see."""
        return images * (self.n0 + self.n * EXPECTED_SHARE[self.mode])

    def statement(self) -> dict[str, Any]:
        """The settings that decide the result, for the record.

        The numerics profile and the noise section record the rest: the options of ``Execution`` and
        ``Drawing``.
        """
        elsewhere = {"design", *(option.name for option in fields(Drawing))}
        of_modes = set().union(*MODE_OPTIONS.values())
        values = {
            option.name: getattr(self, option.name)
            for option in fields(CertifySettings)  # and not what a subclass adds
            if option.name not in elsewhere
        }
        options = {name: values.pop(name) for name in of_modes}
        if self.mode in DESIGNED_MODES:
            values["design"] = (self.design or PRESENT_DESIGN).record()
        return {
            **values,
            "mode_options": {name: value for name, value in options.items() if value is not None},
        }


def _take_integer(options: object, name: str, example: int) -> int:
    """The option as an int, also in its place; ValueError for anything else."""
    value = check_integer(getattr(options, name), name, example)
    object.__setattr__(options, name, value)
    return value


def _check_counters(**samples: int) -> None:
    """ValueError, before any vote, for more samples per image than the noise has counters for."""
    for name, count in samples.items():
        if count > MOST_SAMPLES:
            raise ValueError(
                f"expected {name} <= {MOST_SAMPLES} samples per image, which is all that a seed "
                f"gives, got {count}; draw fewer, and further ones with another seed (extends)"
            )


def _number(name: str, value: Any) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"expected a number for {name}, got {value!r}; give it e.g. as 0.25")


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(
            f"expected a list of numbers for {name}, got {values!r}; give it e.g. as [0.25, 0.5]"
        )
    return tuple(_number(name, value) for value in values)


def _check_choice(name: str, value: object, choices: Any) -> None:
    if value not in get_args(choices):
        raise ValueError(
            f"expected {name} to be one of {', '.join(get_args(choices))}, got {value!r}"
        )
