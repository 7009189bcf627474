"""What a report compares: logs with a name, and the costs of our own run folders."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsmooth.certify.proof.bounds import lower_confidence_bound
from rsmooth.noise.distributions import Gaussian, NoiseDistribution
from rsmooth.records.figures import asked_radii
from rsmooth.records.log import CertificationLog, FloatArray
from rsmooth.records.noise import noise_words, recorded_noise
from rsmooth.records.norms import radius_in_norm
from rsmooth.records.statement import Statement
from rsmooth.report.training_time import TrainingTime

logger = logging.getLogger(__name__)

# As far may a radius that was asked for be above one that a table needs: 0.4348, say, covers an
# linf radius of 2/255 at 3,072 values, which is 0.43471...
NEAR = 1e-3
NOT_SOUND = " (not sound)"  # behind the name of what is known to prove nothing


@dataclass(frozen=True, eq=False)
class Run:
    """A certified model under its name in tables and plots.

        Run("smoothadv", read_log("runs/smoothadv"))

    training: None where it is not known.
    attacked: (N,) the smallest epsilon at which an attack changed the answer to each image,
        infinity for none. None where ``rsmooth audit`` has not attacked them all.
    """

    name: str
    log: CertificationLog
    training: TrainingTime | None = None
    attacked: FloatArray | None = None

    def accuracy_under_attack(self, epsilons: Sequence[float]) -> list[float] | None:
        """Accuracy under the attack at each of the epsilons, which bounds the true one from above.

        None where the images were not attacked. An epsilon between those that were is answered by
        the one below it.
        """
        if self.attacked is None:
            return None
        right = self.log.correct[:, None] & (self.attacked[:, None] > np.asarray(epsilons))
        return [float(share) for share in right.mean(axis=0)]

    def setting(self, key: str) -> Any:
        """An entry of the log's provenance, None where unknown (published tables hold none)."""
        return self.log.provenance.get(key)

    @property
    def statement(self) -> Statement:
        """What its record states: the norm of its radii, their kind and their method."""
        return self.log.statement

    @property
    def label(self) -> str:
        """Its name, marked where its certificates are known to prove nothing."""
        return self.name if self.statement.sound else self.name + NOT_SOUND

    @property
    def noise(self) -> NoiseDistribution | None:
        """The noise that its record states; None for published tables and deterministic runs."""
        deterministic = self.statement.kind == "deterministic"
        return None if deterministic else recorded_noise(self.log.provenance)

    @property
    def noise_words(self) -> str | None:
        """The noise as a table shows it: "σ=0.25", "uniform λ=0.5"."""
        return None if self.noise is None else noise_words(self.log.provenance)

    @property
    def sigma(self) -> float | None:
        """The sigma of Gaussian noise; None for any other."""
        return self.noise.sigma if isinstance(self.noise, Gaussian) else None

    @property
    def asked(self) -> tuple[float, ...] | None:
        """The only radii that were decided, as in modes radius and grid; None for all of them.

        They are in the norm of the log.
        """
        return asked_radii(self.log)

    def decided(self, radius: float) -> bool:
        """Whether the run decided which images are certified at this radius; 0 is the image itself.

        What is certified at a radius that was asked for is certified at those below it, too. Far
        below, their share is only a lower bound; up to a thousandth below, it is taken as it is.
        """
        return self.asked is None or any(
            radius <= each <= radius * (1 + NEAR) for each in self.asked
        )

    @property
    def certify_seconds(self) -> float:
        """Seconds spent on certification, summed over the images."""
        return float(self.log.time.sum())

    @property
    def unanimous_radius(self) -> float | None:
        """What unanimous votes certify, in the norm of the log; None where it is not recorded."""
        # The level of the last test, where a run was tested again after a look.
        n, alpha = self.setting("n"), self.setting("alpha") or self.statement.alpha
        if self.noise is None or n is None or alpha is None:
            return None
        radius = self.noise.radius(lower_confidence_bound(int(n), int(n), alpha))
        norm = self.noise.norm
        for step in self.setting("converted") or []:
            radius = radius_in_norm(radius, step["dimension"], step["to"], source=norm)
            norm = step["to"]
        return radius if norm == self.statement.norm else None

    @property
    def largest_radius(self) -> float:
        """The largest radius that the run could certify.

        It is that of unanimous votes, or the largest one that a deterministic run was asked for.
        Where the configuration is unknown, it is the largest one of the log.
        """
        if self.statement.kind == "deterministic":
            known = max(self.setting("epsilons") or [0.0])
        else:
            known = self.unanimous_radius or 0.0
        return known or float(self.log.radius.max())


def reach_of(runs: Iterable[Run]) -> float:
    """The largest radius of a right answer, or that a run was asked for: so far figures go."""
    return max(
        max([float(run.log.radius[run.log.correct].max(initial=0.0)), *(run.asked or ())])
        for run in runs
    )


def by_statement(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of each norm and kind, in the order in which the first of each came."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault(run.statement.group, []).append(run)
    return list(groups.values())


def check_any(runs: Sequence[Run]) -> None:
    """ValueError for no runs."""
    if not runs:
        raise ValueError("expected at least one run, got none; read some with load_runs")


def default_radii(runs: Sequence[Run]) -> list[float]:
    """Radii for a table, up to the largest at which any run is right.

    These are the radii that runs of modes radius and grid, and deterministic runs, were asked for.
    Else they step by 0.25, as the field's tables do, unless that gives next to none or more than
    ten of them. linf radii step by 1/255.
    """
    reach = max(float(run.log.radius[run.log.correct].max(initial=0.0)) for run in runs)
    asked = {float(radius) for run in runs for radius in run.setting("epsilons") or []}
    decided = {radius for run in runs for radius in run.asked or ()}
    if decided:
        others = [run for run in runs if run.asked is None]
        return sorted({*decided, *(default_radii(others) if others else ())} - {0.0})
    if asked and len(asked) <= 10:
        return sorted(radius for radius in asked if radius)
    step = 0.05 if reach < 0.2 else 0.1 if reach < 0.5 else 0.25
    pixels = runs[0].statement.norm == "linf"
    scale = 255 if pixels else 1  # so that each radius is exactly a number of pixel steps
    step = 1 if pixels else step
    while scale * reach / step > 10:
        step *= 2
    count = math.floor(scale * reach / step * (1 + 1e-12))
    return [step * k / scale if pixels else round(step * k, 10) for k in range(1, count + 1)]
