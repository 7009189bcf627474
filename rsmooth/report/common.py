"""Runs on the images that all of them have: 500 of ours beside a published log of 10,000."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from rsmooth.records.log import IntArray
from rsmooth.records.merging import cut
from rsmooth.report.runs import Run


def on_common_images(runs: Sequence[Run]) -> list[Run]:
    """The runs, each with the images alone that every one of them has.

        on_common_images(load_runs(["runs/smoothadv", "cat-rs.tsv"]))

    Images are known by their idx. What is left of a run says how many images it had, under
    "cut_from" in its provenance. A run that has no others stays as it is. ValueError where no image
    is common. Other labels of the same idx are for the report to tell, as without this.
    """
    common = reduce(np.intersect1d, (run.log.idx for run in runs))
    if not len(common):
        raise ValueError(
            f"expected images that all {len(runs)} records have, got none; compare records of the "
            "same data set"
        )
    return [_cut(run, common) for run in runs]


def _cut(run: Run, common: IntArray) -> Run:
    if len(run.log) == len(common):
        return run
    log = cut(run.log, common)
    log = replace(log, provenance={**log.provenance, "cut_from": len(run.log)})
    attacked = run.attacked
    if attacked is not None:
        attacked = attacked[np.isin(run.log.idx, common)]
    return replace(run, log=log, attacked=attacked)
