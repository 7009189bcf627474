"""Deterministic certificates in l_inf: proved margins, by cheap bounds first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rsmooth.bounds.methods import Method
from rsmooth.bounds.proving import Prover, smallest_margin
from rsmooth.certify.bound_settings import DEFAULT_BOUNDS, BoundSettings
from rsmooth.plumbing.tensors import Labels, as_labels, check_images, check_labels
from rsmooth.records.log import CertificationLog
from rsmooth.records.statement import Statement
from rsmooth.smoothed import SmoothedClassifier, check_smoothed

# Multiply-adds per image up to which fast-lin is asked by default: a minute or so of one core.
AFFORDABLE = 1e11
# By how much two images of 8 bits may be farther apart than their levels: k / 255 is rounded to
# float32, by up to 2^-25 on either side.
ROUNDED_PIXELS = 2.0**-24
# Images whose bounds are computed at once, at most.
IMAGES_AT_ONCE = 16


@dataclass(frozen=True)
class Proof:
    """What is proved of one image.

    label: the predicted class.
    radius: the largest epsilon for which it is proved; 0 for none.
    method: what proved it, such as "crown-ibp"; None for radius 0.
    margin: the smallest proved margin of the label's logit at that epsilon; None where the rule is
        not one of margins.
    """

    label: int
    radius: float = 0.0
    method: str | None = None
    margin: float | None = None


class Engine(Protocol):
    """What proves certificates of images: bounds of one network, or a rule over several."""

    def record(self) -> dict[str, Any]:
        """What it states and how, for the record; the same at every start."""

    def predict(self, x: Tensor) -> Tensor:
        """The classes (B,) of images (B, C, H, W) in [0, 1]."""

    def prove(self, x: Tensor) -> list[Proof]:
        """The proof of each image."""


class BoundEngine(Engine):
    """Proofs by bounds of one network.

        BoundEngine(g, BoundSettings(epsilons=[2 / 255]), (3, 32, 32)).prove(x)

    g: a classifier without noise, ``SmoothedClassifier(base, sigma=0)``.
    shape: of the images, (C, H, W).

    ValueError for a classifier with noise or with other classes than its logits, and as of
    ``Prover``.
    """

    def __init__(
        self, g: SmoothedClassifier, settings: BoundSettings, shape: Sequence[int]
    ) -> None:
        check_noiseless(g)
        self.settings, self.shape = settings, tuple(shape)
        self.prover = Prover(g.base, clip=(0.0, 1.0) if settings.clip else None)
        if (classes := self.prover.classes(self.shape)) != g.num_classes:
            raise ValueError(
                f"expected logits of {g.num_classes} classes from the base classifier, got "
                f"{classes}; check num_classes of the SmoothedClassifier"
            )
        self.methods = choose_bounds(self.prover, settings, self.shape)

    def record(self) -> dict[str, Any]:
        return record_of(", ".join(self.methods), self.settings, self.methods)

    def predict(self, x: Tensor) -> Tensor:
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(
                f"expected images of shape {self.shape}, as the engine was made for, got "
                f"{tuple(x.shape[1:])}"
            )
        return self.prover.predict(x).cpu()

    def prove(self, x: Tensor) -> list[Proof]:
        y = self.predict(x)
        proofs = [Proof(label) for label in y.tolist()]
        for method in self.methods:
            for at, step, margin in self._climb(x, y, proofs, method):
                radius = float(self.settings.epsilons[step])
                proofs[at] = Proof(int(y[at]), radius, method, margin)
        return proofs

    def _climb(
        self, x: Tensor, y: Tensor, proofs: list[Proof], method: Method
    ) -> list[tuple[int, int, float]]:
        """What a method proves beyond the proofs so far: image, epsilon (by position), margin.

        Each image climbs the epsilons from the first one that is left, until one is not proved.
        """
        epsilons = torch.tensor(self.settings.epsilons, dtype=torch.float64, device="cpu")
        found = []
        steps = {at: int((epsilons <= proof.radius).sum()) for at, proof in enumerate(proofs)}
        while steps := {at: step for at, step in steps.items() if step < len(epsilons)}:
            rows = list(steps)
            tried = widened(epsilons[list(steps.values())].view(-1, *[1] * (x.ndim - 1)))
            margins = self.prover.margins(x[rows], y[rows], tried, method)
            smallest = smallest_margin(margins, y[rows]).tolist()
            proved = [at for at, margin in zip(rows, smallest, strict=True) if margin > 0]
            found += [(at, steps[at], smallest[rows.index(at)]) for at in proved]
            steps = {at: steps[at] + 1 for at in proved}
        return found


Distance = TypeVar("Distance", float, Tensor)


def widened(epsilon: Distance) -> Distance:
    """What is proved for epsilon: a box that holds every image of 8 bits within that many levels.

        widened(2 / 255)

    The image of level k + 2 may lie 6e-8 beyond 2/255 of that of level k, in float32.
    """
    return epsilon + ROUNDED_PIXELS


def record_of(
    method: str, settings: BoundSettings, bounds: Sequence[str], *, sound: bool = True
) -> dict[str, Any]:
    """What deterministic certificates record of themselves."""
    statement = Statement(norm="linf", kind="deterministic", method=method, sound=sound)
    return {
        "statement": statement.record(),
        **settings.record(),
        "bounds": list(bounds),
        "arithmetic": "float64, with its rounding errors subtracted",
        "certified_function": "the network in exact arithmetic on its float weights",
    }


def check_noiseless(g: SmoothedClassifier) -> None:
    """ValueError for a classifier with noise: bounds are of the base classifier alone."""
    check_smoothed(g)
    if g.noise.scale_value != 0:
        raise ValueError(
            f"expected a classifier without noise for deterministic bounds, got {g.noise}; "
            "certify a smoothed classifier by its votes (without --norm), and read its linf radii "
            "by containment (rsmooth report --linf 2/255), or take a network with sigma 0"
        )


def choose_bounds(
    prover: Prover, settings: BoundSettings, shape: tuple[int, ...]
) -> tuple[Method, ...]:
    """The methods of the settings, or those that can be afforded; ValueError for unfit ones."""
    if settings.bounds is not None:
        for method in settings.bounds:
            prover.cost(shape, method)  # type: ignore[arg-type]  # refuses what it cannot bound
        return tuple(settings.bounds)  # type: ignore[arg-type]
    if prover.intervals_only:
        return ("ibp",)
    affordable = prover.cost(shape, "fast-lin") <= AFFORDABLE
    return DEFAULT_BOUNDS if affordable else DEFAULT_BOUNDS[:-1]  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class ProvedCertificates:
    """Proofs of a batch.

        result = certify_linf(g, x, epsilons=[2 / 255])
        result.label, result.radius, result.method, result.margin    # (B,), (B,), B names, (B,)
        result.to_log(y)                                # a record, for reports and metrics

    label: (B,) int64 predicted classes. radius: (B,) float64, 0 where nothing is proved.
    method: which bounds proved the radius, or None. margin: (B,) float64, NaN where there is none.
    """

    label: Tensor
    radius: Tensor
    method: tuple[str | None, ...]
    margin: Tensor
    provenance: dict[str, Any]

    def to_log(self, y: Labels, *, idx: ArrayLike | None = None) -> CertificationLog:
        """The certificates as a record; y: true labels (B,), idx: positions in the data set."""
        y = as_labels(y)
        check_labels(y, len(self.label), max(int(y.max()) + 1, 1) if len(y) else 1)
        said = Statement.of(self.provenance)
        return CertificationLog.deterministic(
            y.cpu().numpy(),
            self.label.numpy(),
            self.radius.numpy(),
            norm=said.norm,
            method=said.method,
            sound=said.sound,
            idx=idx,
            proved_by=[name or "" for name in self.method],
            margin=self.margin.nan_to_num().numpy(),
            provenance=self.provenance,
        )


def certify_linf(
    g: SmoothedClassifier,
    x: Tensor,
    *,
    epsilons: Sequence[float],
    bounds: Sequence[str] | None = None,
    clip: bool = True,
) -> ProvedCertificates:
    """Predicted classes of images, with the largest of ``epsilons`` for which each is proved.

        result = certify_linf(SmoothedClassifier(net, sigma=0, num_classes=10), x,
                              epsilons=[1 / 255, 2 / 255])

    x: images (B, C, H, W) in [0, 1].

    The other options are those of ``BoundSettings``. A radius says: the network, in exact
    arithmetic on its float weights, gives its answer to every image within that l_inf distance. So
    2/255 holds for every image of 8 bits whose levels differ by up to 2, also where float32 rounds
    their pixels apart: the box that is proved is 2^-24 wider.
    The rounding errors of the proof are subtracted. ValueError for images off [0, 1], a classifier
    with noise and an unknown layer.
    """
    check_images(x)
    settings = BoundSettings(epsilons=epsilons, bounds=bounds, clip=clip)
    return prove_images(BoundEngine(g, settings, x.shape[1:]), x)


def prove_images(engine: Engine, x: Tensor) -> ProvedCertificates:
    """The proofs of an engine for images (B, C, H, W), a few at a time."""
    check_images(x)
    proofs = [proof for part in torch.split(x, IMAGES_AT_ONCE) for proof in engine.prove(part)]
    nothing = float("nan")
    return ProvedCertificates(
        torch.tensor([proof.label for proof in proofs], dtype=torch.int64, device="cpu"),
        torch.tensor([proof.radius for proof in proofs], dtype=torch.float64, device="cpu"),
        tuple(proof.method for proof in proofs),
        torch.tensor(
            [nothing if proof.margin is None else proof.margin for proof in proofs],
            dtype=torch.float64,
            device="cpu",
        ),
        engine.record(),
    )
