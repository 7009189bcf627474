"""``rsmooth audit``: attack certified images, and report contradicted certificates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from rsmooth.cli.options import PredictionOptions, RunOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import image_shape, load_split, trained_on
from rsmooth.config.specs import Spec
from rsmooth.plumbing.files import replace_file

AUDIT, FIGURE = "audit.json", "audit-gap"


@VERBS.register("audit", positionals=("source",))
def audit(
    source: Path,
    model: RunOptions,
    prediction: PredictionOptions,
    dataset: Spec | None = None,
    split: str = "test",
    max: int | None = None,
    factors: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5),
    steps: int = 20,
    num_noise: int = 32,
    seed: int = 1,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    progress: bool = True,
) -> None:
    """Attack the certified images of a run folder, within their radius and beyond it.

    An attack within the radius that changes the answer contradicts the certificate. Attacks beyond
    it measure how tight the certificates are. The files come at the end: a stopped audit starts
    anew.

    Args:
        source: a run folder with a model and its certificates
        dataset: what was certified; default: what the run was trained on
        split: the split that was certified
        max: audit at most this many of the certified images
        factors: the epsilons of the attacks, as multiples of each image's certified radius
        steps: steps of the SmoothAdv-PGD attack
        num_noise: noise samples that the attack averages over
        seed: seed of the noise of the attack and of the predictions; it must differ from the seed
            of the certificates
        precision: of the search. float32 asks the model as it is; auto asks a faster copy of it, in
            bfloat16 where machine and model suit. The predictions are in that of the certificates
        progress: show a progress bar
    """
    from rsmooth.cli.models import load_own
    from rsmooth.evaluate.auditing import audit as attack_certificates
    from rsmooth.records.files import read_log
    from rsmooth.report.plots import attack_gap_figure, save_figure

    data = load_split(dataset if dataset is not None else trained_on(source), split)
    found = attack_certificates(
        load_own(source, model.weights, model.device, image_shape(data)),
        data,
        read_log(source),
        factors=factors,
        steps=steps,
        num_noise=num_noise,
        **asdict(prediction),
        seed=seed,
        limit=max,
        precision=precision,
        progress=progress,
    )
    figures = save_figure(
        attack_gap_figure(found.radius, found.attacked_radius, title=source.name), source / FIGURE
    )
    record = {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in asdict(found).items()
    }
    asked = {"seed": seed, "precision": precision}
    options = {"steps": steps, "num_noise": num_noise, **asdict(prediction), **asked}
    replace_file(source / AUDIT, f"{json.dumps({**record, 'options': options})}\n".encode())
    print(found.summary())
    for path in [source / AUDIT, *figures]:
        print(f"wrote {path}")
