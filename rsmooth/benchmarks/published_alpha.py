"""The alpha of a published log, which its largest radius shows."""

from __future__ import annotations

from pathlib import Path

from rsmooth.doctor.logs import examine_table

USUAL = 1e-3


def published_alpha(path: Path, sigma: float, n: int, otherwise: float = USUAL) -> float:
    """The alpha at which n unanimous votes have the largest radius of a log.

        published_alpha(Path("noise_0.25.tsv"), 0.25, 100_000)      # 0.001

    Published logs do not record it: most are of 0.001, some of Cohen et al. (2019) of
    0.01.
    ``otherwise`` where the largest radius is that of no usual setting with this sigma and n.
    """
    found = examine_table(path, sigma=sigma).facts.get("settings", [])
    alphas = {each["alpha"] for each in found if (each["n"], each["sigma"]) == (n, sigma)}
    return float(alphas.pop()) if len(alphas) == 1 else otherwise
