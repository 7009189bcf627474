"""What a record states: in which norm its radii are, how they were shown, and how surely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from rsmooth.plumbing.errors import RecordError

Norm = Literal["l1", "l2", "linf"]
Kind = Literal["probabilistic", "deterministic"]


@dataclass(frozen=True)
class Statement:
    """Norm, kind, failure probability and method of the certificates of one record.

        Statement()                                          # l2, probabilistic: published tables
        Statement(norm="linf", kind="deterministic", method="ibp")

    norm: of the radii, "l1", "l2" or "linf". kind: "probabilistic", each certificate wrong with
    probability at most ``alpha``, or "deterministic", where alpha is None.
    alpha: None too where a probabilistic record does not say it.
    method: how the radii were shown, such as "gaussian smoothing" or "crown-ibp".
    sound: False for what is known to prove nothing; it never enters an envelope.
    RecordError for another norm or kind.
    """

    norm: Norm = "l2"
    kind: Kind = "probabilistic"
    alpha: float | None = None
    method: str = "gaussian smoothing"
    sound: bool = True

    def __post_init__(self) -> None:
        for name, known in (("norm", get_args(Norm)), ("kind", get_args(Kind))):
            if getattr(self, name) not in known:
                raise RecordError(
                    f"expected a {name} among {', '.join(known)}, got {getattr(self, name)!r}; "
                    "certificates of another cannot be compared with any here"
                )

    @property
    def group(self) -> tuple[str, str]:
        """What two records must share to stand in one table: norm and kind."""
        return self.norm, self.kind

    def record(self) -> dict[str, Any]:
        """As plain values, for the provenance of a record."""
        found: dict[str, Any] = {"norm": self.norm, "kind": self.kind, "method": self.method}
        if self.alpha is not None:
            found["alpha"] = self.alpha
        return found if self.sound else {**found, "sound": False}

    @classmethod
    def of(cls, provenance: Mapping[str, Any]) -> Statement:
        """The statement that a record's provenance makes.

        It stands under "statement". Records from before there was one, and published tables, are
        Gaussian l2 certificates; a bare "norm" or "kind" beside the other entries counts as well.
        """
        said = provenance.get("statement", {})
        if not isinstance(said, Mapping):
            raise RecordError(f"expected a statement of norm, kind and method, got {said!r}")
        found = {key: provenance[key] for key in ("norm", "kind") if key in provenance}
        found |= {
            key: said[key] for key in ("norm", "kind", "method", "alpha", "sound") if key in said
        }
        if "alpha" in provenance and found.get("kind") != "deterministic":
            found["alpha"] = float(provenance["alpha"])  # a restated record keeps it here
        return cls(**found)
