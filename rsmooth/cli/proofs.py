"""Deterministic certificates, for ``rsmooth certify --norm linf``."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsmooth.cli.options import LinfOptions, Rule
from rsmooth.config.images import image_shape

if TYPE_CHECKING:
    from rsmooth.certify.deterministic import Engine
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.records.log import CertificationLog
    from rsmooth.smoothed import SmoothedClassifier


def prove(
    members: Sequence[SmoothedClassifier],
    data: ImageData | FolderData,
    journal: Path,
    options: LinfOptions,
    *,
    workers: int | None,
    progress: bool,
) -> None:
    """Prove certificates into the journal, and print what share of the images has them."""
    from rsmooth.certify.ensembles import ensemble_section
    from rsmooth.certify.run.header import model_section
    from rsmooth.certify.run.proofs import prove_dataset
    from rsmooth.certify.run.shards import Shards

    engine = build_engine(members, data, options)
    rule = options.rule
    known = Shards(journal).model()
    if rule is None:
        model = model_section(members[0], known)
    else:
        model = ensemble_section(rule, members, known)
    log = prove_dataset(engine, data, journal, model=model, workers=workers, progress=progress)
    if len(log) == len(data):  # else a rank under torchrun; only the last to finish prints
        print(summary(log, journal))


def build_engine(
    members: Sequence[SmoothedClassifier], data: ImageData | FolderData, options: LinfOptions
) -> Engine:
    """What proves certificates: bounds of one network, or a rule over several."""
    from rsmooth.certify.bound_settings import BoundSettings
    from rsmooth.certify.deterministic import BoundEngine
    from rsmooth.certify.ensembles import ensemble

    assert options.epsilons is not None
    settings = BoundSettings(epsilons=options.epsilons, bounds=options.bounds, clip=options.clip)
    if options.rule is None:
        return BoundEngine(members[0], settings, image_shape(data))
    return ensemble(options.rule, members, settings, image_shape(data))


def summary(log: CertificationLog, journal: Path) -> str:
    """One line on the certificates of a record."""
    from rsmooth.records.metrics import certified_accuracy
    from rsmooth.report.tables import radius_name

    epsilons = log.provenance["epsilons"]
    clean, *certified = 100 * certified_accuracy(log, [0.0, *epsilons])
    shown = ", ".join(
        f"{share:.1f} % at {radius_name(epsilon, 'linf')}"
        for epsilon, share in zip(epsilons, certified, strict=True)
    )
    return (
        f"{len(log)} images certified ({log.time.sum():.1f} s summed over them): accuracy "
        f"{clean:.1f} %, certified {shown}, by {log.statement.method}"
        f"{'' if log.statement.sound else ' (NOT SOUND: it proves nothing)'}; see rsmooth report "
        f"{shlex.quote(str(journal))}"
    )


def attack_proofs(
    members: Sequence[SmoothedClassifier],
    rule: Rule | None,
    data: ImageData | FolderData,
    log: CertificationLog,
    *,
    steps: int,
    seed: int,
    limit: int | None,
    progress: bool,
) -> dict[str, Any]:
    """Attack deterministic certificates; what a report needs of that, after printing it."""
    from rsmooth.certify.ensembles import ensemble_section, mean_classifier
    from rsmooth.evaluate.bracketing import bracket

    recorded = log.provenance
    options = LinfOptions(
        epsilons=recorded["epsilons"],
        bounds=recorded["bounds"],
        clip=recorded["clip"] is not None,
        rule=rule,
    )
    engine = build_engine(members, data, options)
    model = recorded.get("model")
    hashed = None if rule is None else ensemble_section(rule, members, model)["hash"]
    # The gradients of the mean lead the attack on any rule, whose own answers then count.
    target = members[0] if rule is None else mean_classifier(members)
    asked = {"steps": steps, "restarts": 1, "seed": seed}
    found = bracket(
        target, engine.predict, data, log, ensemble=hashed, **asked, limit=limit, progress=progress
    )
    print(found.summary())
    return {
        "idx": found.idx.tolist(),
        "epsilons": found.epsilons.tolist(),
        "attacked": [value if math.isfinite(value) else None for value in found.attacked.tolist()],
        "contradictions": found.idx[found.contradictions].tolist(),
        "options": asked,
    }


def plan_proofs(source: Path, images: int) -> str:
    """What each method of deterministic certificates costs, for a model of ours."""
    from rsmooth.certify.bound_settings import BoundSettings
    from rsmooth.certify.planning import method_costs
    from rsmooth.cli.models import load_own
    from rsmooth.cli.options import DataOptions
    from rsmooth.data.convert import to_unit
    from rsmooth.report.tables import duration

    chosen = DataOptions(max=4).choose(source)
    g = load_own(source, "last", "auto", image_shape(chosen))
    x = to_unit(chosen.batch(list(range(len(chosen))))[0])
    costs = method_costs(g, x, BoundSettings(epsilons=[2 / 255]))
    lines = [
        f"{'method':<10} {'rows':>7} {'per image':>10} {f'{images:,} images':>14}  per epsilon"
    ]
    for cost in costs:
        about = "about " if cost.estimated else ""
        lines.append(
            f"{cost.method:<10} {cost.rows:>7,} {about + duration(cost.seconds):>10} "
            f"{about + duration(images * cost.seconds):>14}{'' if cost.default else '  on demand'}"
        )
    return "\n".join([*lines, "The dear methods are only asked for what the cheap ones leave."])
