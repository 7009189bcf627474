"""The alpha of a log: what its record states, or else what its largest radius shows."""

from __future__ import annotations

from pathlib import Path

from rsmooth.doctor.logs import examine_table, stated_setting
from rsmooth.doctor.samples import Setting
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.log import CertificationLog

USUAL = 1e-3


def published_alpha(
    path: Path, log: CertificationLog, sigma: float, n: int, otherwise: float = USUAL
) -> float:
    """The alpha of a log of n samples of Gaussian noise.

        published_alpha(path, read_log(path), 0.25, 100_000)      # 0.001

    path: where the log is. otherwise: for one whose largest radius is that of no usual setting.

    Published tables do not record it. Most are of 0.001, some of Cohen et al. (2019) of 0.01.
    RecordError for a log of another n, sigma or noise, as far as it shows.
    """
    stated = recorded_setting(log)
    found, sure = ([stated], True) if stated is not None else _told(path, sigma)
    alphas = {each.alpha for each in found if (each.n, each.sigma) == (n, sigma)}
    if sure and found and not alphas:
        raise RecordError(
            f"expected a log of n={n:,} at sigma={sigma:g}, got {path} of "
            f"{' or '.join(map(str, found[:3]))}; give its own n and sigma"
        )
    return alphas.pop() if len(alphas) == 1 else otherwise


def recorded_setting(log: CertificationLog) -> Setting | None:
    """The n, alpha and sigma that a record states; None for a table without one.

        recorded_setting(read_log("runs/smoothadv"))      # n=10,000, alpha=0.001, sigma=0.25

    RecordError for other certificates than those of n votes for every image under Gaussian noise.
    """
    stated, said = stated_setting(log), log.statement
    known = said.kind != "probabilistic" or said.norm != "l2" or said.alpha is not None
    one_n = stated is None or log.samples is None or bool((log.samples == stated.n).all())
    if (stated is None and known) or not one_n:
        raise RecordError(
            "expected certificates of as many votes for every image, under Gaussian noise, got "
            f"{said.method} in {said.norm} ({said.kind}) in mode "
            f"{log.provenance.get('mode', 'unknown')}; certify in mode fixed"
        )
    return stated


def _told(path: Path, sigma: float) -> tuple[list[Setting], bool]:
    """The settings that fit the largest radius of a table, and whether enough images have it."""
    facts = examine_table(path, sigma=sigma).facts
    return [Setting(**each) for each in facts.get("settings", [])], facts.get("sure", False)
