"""``rsmooth plan``: what n samples can show, what a radius needs, and how long that takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rsmooth.cli.proofs import plan_proofs
from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import Spec

if TYPE_CHECKING:
    from rsmooth.noise.distributions import NoiseDistribution


@VERBS.register("plan")
def plan(
    sigma: float | None = None,
    noise: Spec | None = None,
    alpha: float = 0.001,
    n: int = 100_000,
    n0: int = 100,
    images: int = 500,
    radius: float | None = None,
    radii: Sequence[float] | None = None,
    tolerance: float | None = None,
    rate: float | None = None,
    log: Path | None = None,
    proofs: Path | None = None,
) -> None:
    """Plan a certification: samples that a radius needs, largest radius, expected time.

    Of a network without noise (--proofs), what each method of --norm linf costs.

    Args:
        sigma: standard deviation of Gaussian noise in [0,1] pixel units; default: the noise of log
        noise: other noise, e.g. uniform with --noise.half_width 0.5 (see rsmooth list noises)
        alpha: failure probability per image
        n: noise samples per image that estimate the probability
        n0: noise samples per image that select the class
        images: how many images will be certified
        radius: a radius, to see how many samples it needs
        radii: the radii of mode grid, to see how many samples it would draw; needs log
        tolerance: the tolerance of mode anytime, to see how many samples it would draw; needs log
        rate: measured samples per second; default: that of log
        log: an earlier run folder or journal, for its rate and, under the same noise, its votes
        proofs: a run folder of a network without noise, whose deterministic certificates are
            planned; only images counts beside it
    """
    from rsmooth.certify.proof.planning import plan as work_out
    from rsmooth.config.parts import build_noise

    if (sigma is None and noise is None and log is None) == (proofs is None):
        raise ValueError(
            "expected either --sigma, --noise or --log, for certificates of a smoothed classifier, "
            "or --proofs, for those of a network without noise, got "
            f"{'none' if proofs is None else 'both'}; give e.g. --sigma 0.25"
        )
    if proofs is not None:
        print(plan_proofs(proofs, images))
        return
    if log is None and (radii is not None or tolerance is not None):
        raise ValueError(
            "expected --log beside --radii or --tolerance, since the samples of a sequential mode "
            "depend on the votes, got none; name an earlier run folder"
        )
    earlier = None if log is None else _earlier(log)
    given = sigma is not None or noise is not None
    chosen = build_noise(sigma, noise) if given or earlier is None else earlier.noise
    shares = None
    if earlier is not None:
        rate = earlier.rate if rate is None else rate
        shares = earlier.shares if earlier.noise == chosen else None
        if shares is None and (radii is not None or tolerance is not None):
            raise ValueError(
                f"expected --log of a run under {chosen} beside --radii or --tolerance, since the "
                f"votes depend on the noise, got {log} under {earlier.noise}; name another run "
                "folder"
            )
    print(
        work_out(
            chosen,
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


class _Earlier(NamedTuple):
    """A run's share of the most frequent class of each image, samples per second, and noise."""

    shares: list[float]
    rate: float
    noise: NoiseDistribution


def _earlier(log: Path) -> _Earlier:
    from rsmooth.plumbing.errors import RecordError
    from rsmooth.records.files import read_log
    from rsmooth.records.noise import required_noise

    record = read_log(log)
    if record.counts is None or record.samples is None:
        why = "published tables do not hold them: name a run folder or a journal"
        if record.statement.kind == "deterministic":
            why = "deterministic certificates need none: see rsmooth plan --proofs RUN"
        raise RecordError(f"expected a record with vote counts, got {log}, which has none; {why}")
    shares: list[float] = (record.counts.max(axis=1) / record.samples).tolist()
    rate = float(record.samples.sum() / record.time.sum())
    return _Earlier(shares, rate, required_noise(record.provenance))
