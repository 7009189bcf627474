"""``rsmooth audit``: attack what was certified, and say whether the certificates stand."""

import dataclasses
import json
from pathlib import Path

import numpy as np

from rsmooth.cli.images import image_shape, load_split, trained_on
from rsmooth.cli.runs import load_model
from rsmooth.cli.values import PixelValues, Spec

AUDIT, FIGURE = "audit.json", "audit-gap"
DEFAULT_FACTORS = PixelValues((0.5, 0.75, 1.0, 1.25, 1.5))


def audit(
    source: Path,
    dataset: Spec | None = None,
    split: str = "test",
    max: int | None = None,
    factors: PixelValues = DEFAULT_FACTORS,
    steps: int = 20,
    num_noise: int = 32,
    n: int = 1000,
    alpha: float = 0.001,
    seed: int = 1,
    device: str = "auto",
    weights: str = "last",
    progress: bool = True,
) -> None:
    """Attack the certified images of a run folder around their radius: contradictions, and the gap
    to the attacks.

    Args:
        source: a run folder with a model and its certificates
        dataset: what was certified; default: what the run was trained on
        split: the split that was certified
        max: audit at most this many of the certified images
        factors: multiples of each image's certified radius to attack at
        steps: steps of the SmoothAdv-PGD attack
        num_noise: noise samples that the attack averages over
        n: noise samples of each prediction on an attacked image
        alpha: failure probability of each prediction
        seed: seed of the attack's and the predictions' noise, another than the certificates'
        device: cpu, cuda, or auto
        weights: last or best weights of the run folder
        progress: show a progress bar
    """
    from rsmooth.evaluate.auditing import audit as attack_certificates
    from rsmooth.records.files import read_log
    from rsmooth.report.plots import attack_gap_figure, save_figure

    data = load_split(dataset if dataset is not None else trained_on(source), split)
    g = load_model(
        source,
        weights=weights,
        checkpoint=None,
        normalize=None,
        sigma=None,
        device=device,
        shape=image_shape(data),
    )
    found = attack_certificates(
        g,
        data,
        read_log(source),
        factors=factors,
        steps=steps,
        num_noise=num_noise,
        n=n,
        alpha=alpha,
        seed=seed,
        limit=max,
        progress=progress,
    )
    figures = save_figure(
        attack_gap_figure(found.radius, found.attacked_radius, title=source.name), source / FIGURE
    )
    record = {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in dataclasses.asdict(found).items()
    }
    options = {"steps": steps, "num_noise": num_noise, "n": n, "alpha": alpha, "seed": seed}
    (source / AUDIT).write_text(json.dumps({**record, "options": options}) + "\n", encoding="utf-8")
    print(found.summary())
    for path in [source / AUDIT, *figures]:
        print(f"wrote {path}")
