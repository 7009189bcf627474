"""``rsmooth audit``: attack certified images, and report contradicted certificates."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rsmooth.cli.options import PredictionOptions, RunOptions
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import image_shape, load_split, trained_on
from rsmooth.config.specs import Spec
from rsmooth.plumbing.files import replace_file

if TYPE_CHECKING:
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.records.log import CertificationLog
    from rsmooth.smoothed import SmoothedClassifier

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
    progress: bool = True,
) -> None:
    """Attack the certified images of a run folder, within their radius and beyond it.

    An attack within the radius that changes the answer contradicts the certificate. Attacks beyond
    it measure how tight the certificates are. The files come at the end: a stopped audit starts
    anew.

    Deterministic certificates are attacked by l-infinity PGD at each epsilon of the record. That
    gives certified <= true <= attacked accuracy, which rsmooth report then shows.

    Args:
        source: a run folder with a model and its certificates
        dataset: what was certified; default: what the run was trained on
        split: the split that was certified
        max: audit at most this many of the certified images
        factors: the epsilons of the attacks, as multiples of each image's certified radius
        steps: steps of the PGD attack
        num_noise: noise samples that the attack averages over
        seed: seed of the noise of the attack and of the predictions; it must differ from the seed
            of the certificates
        progress: show a progress bar
    """
    from rsmooth.cli.models import load_own
    from rsmooth.evaluate.auditing import audit as attack_certificates
    from rsmooth.records.files import read_log
    from rsmooth.report.plots import attack_gap_figure, save_figure

    data = load_split(dataset if dataset is not None else trained_on(source), split)
    g, log = load_own(source, model.weights, model.device, image_shape(data)), read_log(source)
    if log.statement.kind == "deterministic":
        given = {"factors": factors, "num_noise": num_noise, **asdict(prediction)}
        _check_defaults(given)
        _bracket(source, g, data, log, steps=steps, seed=seed, limit=max, progress=progress)
        return
    found = attack_certificates(
        g,
        data,
        log,
        factors=factors,
        steps=steps,
        num_noise=num_noise,
        **asdict(prediction),
        seed=seed,
        limit=max,
        progress=progress,
    )
    figures = save_figure(
        attack_gap_figure(found.radius, found.attacked_radius, title=source.name), source / FIGURE
    )
    record = {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in asdict(found).items()
    }
    options = {"steps": steps, "num_noise": num_noise, **asdict(prediction), "seed": seed}
    replace_file(source / AUDIT, f"{json.dumps({**record, 'options': options})}\n".encode())
    print(found.summary())
    for path in [source / AUDIT, *figures]:
        print(f"wrote {path}")


def _bracket(
    source: Path,
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    log: CertificationLog,
    *,
    steps: int,
    seed: int,
    limit: int | None,
    progress: bool,
) -> None:
    """Attack deterministic certificates, and write what the report needs of it."""
    from rsmooth.bounds.proving import Prover
    from rsmooth.evaluate.bracketing import bracket

    predict = Prover(g.base).predict
    options = {"steps": steps, "restarts": 1, "seed": seed}
    found = bracket(g, predict, data, log, **options, limit=limit, progress=progress)
    record = {
        "idx": found.idx.tolist(),
        "epsilons": found.epsilons.tolist(),
        "attacked": [None if value == float("inf") else value for value in found.attacked.tolist()],
        "contradictions": found.idx[found.contradictions].tolist(),
        "options": options,
    }
    replace_file(source / AUDIT, f"{json.dumps(record)}\n".encode())
    print(found.summary())
    print(f"wrote {source / AUDIT}")


def _check_defaults(given: dict[str, object]) -> None:
    """ValueError for options of probabilistic audits, which have no effect on deterministic ones.

    given: by name, with the values that they have.
    """
    parameters = inspect.signature(audit).parameters
    defaults = {**asdict(PredictionOptions()), **{n: p.default for n, p in parameters.items()}}
    changed = [name for name, value in given.items() if not _same(value, defaults[name])]
    if changed:
        raise ValueError(
            f"expected no --{' and no --'.join(changed)} for deterministic certificates, which "
            "have no noise and are attacked at the epsilons of the record; leave it out"
        )


def _same(value: object, default: object) -> bool:
    return tuple(value) == tuple(default) if isinstance(default, tuple) else value == default  # type: ignore[arg-type]
