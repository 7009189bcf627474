"""``rsmooth plan``: what n samples can show, what a radius needs, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rsmooth.cli.verbs import VERBS


@VERBS.register("plan")
def plan(
    sigma: float,
    alpha: float = 0.001,
    n: int = 100_000,
    n0: int = 100,
    images: int = 500,
    radius: float | None = None,
    radii: Sequence[float] | None = None,
    tolerance: float | None = None,
    rate: float | None = None,
    log: Path | None = None,
) -> None:
    """Plan a certification: samples that a radius needs, largest radius, expected time.

    Args:
        sigma: standard deviation of the noise in [0,1] pixel units
        alpha: failure probability per image
        n: noise samples per image that estimate the probability
        n0: noise samples per image that select the class
        images: how many images will be certified
        radius: a radius, to see how many samples it needs
        radii: the radii of mode grid, to see how many samples it would draw; needs log
        tolerance: the tolerance of mode anytime, to see how many samples it would draw; needs log
        rate: measured samples per second; default: that of log
        log: an earlier run folder or journal, for its rate and its votes
    """
    from rsmooth.certify.proof.planning import plan as work_out

    if log is None and (radii is not None or tolerance is not None):
        raise ValueError(
            "expected --log beside --radii or --tolerance, since the samples of a sequential mode "
            "depend on the votes, got none; name an earlier run folder"
        )
    shares = None
    if log is not None:
        shares, measured = _votes(log)
        rate = measured if rate is None else rate
    print(
        work_out(
            float(sigma),
            alpha=alpha,
            n=n,
            n0=n0,
            images=images,
            radius=radius,
            radii=None if radii is None else list(radii),
            tolerance=tolerance,
            rate=rate,
            shares=shares,
        )
    )


def _votes(log: Path) -> tuple[list[float], float]:
    """The share of the most frequent class of each image, and the samples per second."""
    from rsmooth.plumbing.errors import RecordError
    from rsmooth.records.files import read_log

    record = read_log(log)
    if record.counts is None or record.samples is None:
        raise RecordError(
            f"expected a record with vote counts, got {log}, which has none; published tables do "
            "not hold them: name a run folder or a journal"
        )
    shares: list[float] = (record.counts.max(axis=1) / record.samples).tolist()
    return shares, float(record.samples.sum() / record.time.sum())
