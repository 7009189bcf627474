"""What a record states: the norm of its radii, how they were shown, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.numbers import check_alpha
from rsmooth.records.noise import recorded_noise

Norm = Literal["l1", "l2", "linf", "other"]
Kind = Literal["probabilistic", "deterministic"]


@dataclass(frozen=True)
class Statement:
    """Norm, kind, failure probability and method of the certificates of one record.

        Statement()                                          # l2, probabilistic: published tables
        Statement(norm="linf", kind="deterministic", method="ibp")

    norm: of the radii, "l1", "l2" or "linf"; "other" for radii that are of no such norm.
    kind: "probabilistic", each certificate wrong with probability at most ``alpha``; or
        "deterministic".
    alpha: of all tests of an image together, where it was tested again after a look. None for
        deterministic records, and where a probabilistic one does not record it.
    method: how the radii were shown, such as "gaussian smoothing" or "crown-ibp".
    sound: False for what is known to prove nothing. It never enters an envelope.
    unit: what other radii are measured in, such as "degrees of rotation"; None for a norm.

    RecordError for another norm or kind, and for an alpha outside (0, 1).
    """

    norm: Norm = "l2"
    kind: Kind = "probabilistic"
    alpha: float | None = None
    method: str = "gaussian smoothing"
    sound: bool = True
    unit: str | None = None

    def __post_init__(self) -> None:
        known = {"norm": get_args(Norm), "kind": get_args(Kind), "sound": (True, False)}
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise RecordError(
                    f"expected {name} among {', '.join(map(str, values))}, got "
                    f"{getattr(self, name)!r}; certificates of another cannot be compared with "
                    "any here"
                )
        if (self.norm == "other") != (isinstance(self.unit, str) and bool(self.unit.strip())):
            raise RecordError(
                f"expected a unit in words for norm other, and for that alone, got {self.unit!r} "
                f"for {self.norm}"
            )
        if self.unit in get_args(Norm):  # such radii would share a table with those of the norm
            raise RecordError(
                f"expected a unit that is no norm for norm other, got {self.unit!r}; state it as "
                "the norm"
            )
        if not isinstance(self.method, str):
            raise RecordError(f"expected the name of a method, got {self.method!r}")
        try:
            alpha = None if self.alpha is None else check_alpha(self.alpha)
            object.__setattr__(self, "alpha", alpha)
        except (TypeError, ValueError) as error:
            raise RecordError(str(error)) from None

    @classmethod
    def in_unit(cls, unit: str, *, method: str) -> Statement:
        """The statement of radii in this norm, or else in this unit.

        Statement.in_unit("degrees of rotation", method="not recorded").measure
        """
        if unit in ("l1", "l2", "linf"):
            return cls(norm=unit, method=method)  # type: ignore[arg-type]
        return cls(norm="other", unit=unit, method=method)

    @property
    def measure(self) -> str:
        """What the radii are measured in: the norm, or the unit of other radii."""
        return self.unit or self.norm

    @property
    def group(self) -> tuple[str, str]:
        """Norm (or unit) and kind: what two records must share to be in one table.

        Alpha and method may differ within a table, which then prints them.
        """
        return self.measure, self.kind

    def __str__(self) -> str:
        """For a report: "probabilistic (alpha 0.001)" or "deterministic", and "not sound" if so."""
        alpha = "not recorded" if self.alpha is None else f"{self.alpha:g}"
        certain = self.kind if self.kind == "deterministic" else f"{self.kind} (alpha {alpha})"
        return certain if self.sound else f"{certain}, not sound"

    def record(self) -> dict[str, Any]:
        """As plain values, for the provenance of a record."""
        found: dict[str, Any] = {"norm": self.norm, "kind": self.kind, "method": self.method}
        if self.unit is not None:
            found["unit"] = self.unit
        if self.alpha is not None:
            found["alpha"] = self.alpha
        return found if self.sound else {**found, "sound": False}

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Statement:
        """The statement that a record's provenance makes.

            Statement.of({"sigma": 0.25, "alpha": 0.001})        # l2, probabilistic, alpha 0.001

        It is recorded under "statement". A bare "norm" or "kind" beside the other entries counts as
        well. Where neither names the norm, it is that of the noise. It is l2 where the record names
        no noise, as in published tables. RecordError for an unknown norm, kind or noise.
        """
        said = provenance.get("statement", {})
        if not isinstance(said, Mapping):
            raise RecordError(f"expected a statement of norm, kind and method, got {said!r}")
        found = {key: provenance[key] for key in ("norm", "kind") if key in provenance}
        found |= {
            key: said[key]
            for key in ("norm", "kind", "method", "alpha", "sound", "unit")
            if key in said
        }
        return cls(
            **(_deterministic if found.get("kind") == "deterministic" else _probabilistic)(
                found, provenance
            )
        )


def check_one_group(statements: Sequence[Statement]) -> None:
    """RecordError, saying how to convert, unless all state one norm and are of one kind."""
    for number, other in enumerate(statements[1:], start=1):
        first = statements[0]
        if other.measure != first.measure and "other" in (other.norm, first.norm):
            raise RecordError(
                f"expected certificates in one unit, but log {number} states {other.measure} radii "
                f"and log 0 {first.measure} radii; nothing converts them: report them apart"
            )
        if other.norm != first.norm:
            raise RecordError(
                f"expected certificates in one norm, but log {number} states {other.norm} radii "
                f"and log 0 {first.norm} radii; convert one by containment: "
                f'rsmooth.records.in_norm(log, "{first.norm}", dimension)'
            )
        if other.kind != first.kind:
            raise RecordError(
                f"expected certificates of one kind, but log {number} is {other.kind} and log 0 "
                f"{first.kind}; no conversion makes them one: report them apart"
            )


def _deterministic(found: dict[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    if "norm" not in found:
        raise RecordError('expected a deterministic record to state its norm, such as "linf"')
    return {"method": "not recorded", **found, "alpha": None}


def _probabilistic(found: dict[str, Any], provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a probabilistic statement; norm and method default to those of the noise."""
    noise = recorded_noise(provenance)
    if noise is not None:
        found = {"norm": noise.norm, "method": f"{noise.name} smoothing", **found}
    # A restated record's own counts. The votes of one that was extended after a look were tested
    # twice, each time at a part of what may fail; "alpha" is then that of the last test.
    levels = (provenance.get("alpha_spent"), provenance.get("alpha"), found.get("alpha"))
    return {**found, "alpha": next((level for level in levels if level is not None), None)}
