"""``rsmooth audit``: attack certified images, and report contradicted certificates."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rsmooth.cli.attack import DEFAULT_OPTIONS, with_defaults
from rsmooth.cli.options import PredictionOptions, Rule, RunOptions, Split, check_ensemble
from rsmooth.cli.proofs import attack_proofs
from rsmooth.cli.verbs import VERBS
from rsmooth.config.images import image_shape, split_of
from rsmooth.config.specs import Spec
from rsmooth.plumbing.files import replace_file
from rsmooth.records.audits import states_of
from rsmooth.records.files import audit_of

if TYPE_CHECKING:
    from rsmooth.attacks.base import Attack
    from rsmooth.data.files import FolderData
    from rsmooth.data.images import ImageData
    from rsmooth.evaluate.auditing import Audit
    from rsmooth.records.log import CertificationLog
    from rsmooth.smoothed import SmoothedClassifier


@VERBS.register(
    "audit",
    positionals=("source",),
    instead={"attack.epsilon": "--factors", "attack.targeted": None},
)
def audit(
    source: Path,
    model: RunOptions,
    prediction: PredictionOptions,
    dataset: Spec | None = None,
    split: Split = "test",
    max: int | None = None,
    factors: Sequence[float] = (0.5, 0.75, 1.0, 1.25, 1.5),
    steps: int = 20,
    attack: Spec | None = None,
    num_noise: int = 32,
    seed: int = 1,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    ensemble: Sequence[str] | None = None,
    rule: Rule | None = None,
    log: Path | None = None,
    progress: bool = True,
) -> None:
    """Attack the certified images of a run folder, within their radius and beyond it.

    An attack within the radius that changes the answer contradicts the certificate. Attacks beyond
    it measure how tight the certificates are. The files come at the end: a stopped audit starts
    anew.

    Deterministic certificates are attacked by l-infinity PGD at each epsilon of the record. That
    gives certified <= true <= attacked accuracy, which rsmooth report then shows.

    Args:
        source: a run folder with a model and its certificates; with --log also a model file that
            rsmooth saved, or the name of a model that comes with rsmooth (see rsmooth list models)
        dataset: what was certified; default: what the run was trained on
        split: the split that was certified
        max: audit at most this many of the certified images
        factors: the epsilons of the attacks, as multiples of each image's certified radius
        steps: steps of the PGD attack, or of another attack that has such an option
        attack: another attack than SmoothAdv-PGD, of l2 norm, and its options except epsilon (see
            rsmooth list attacks). Those that have such options attack g, with the smoothadv
            objective
        num_noise: noise samples that the attack averages over
        seed: seed of the noise of the attack and of the predictions; it must differ from the seed
            of the certificates
        precision: of the search. float32 asks the model as it is; auto asks a faster copy of it, in
            bfloat16 where machine and model suit. The predictions are in that of the certificates
        ensemble: of deterministic certificates of several networks, the further ones, as they were
            certified
        rule: of that ensemble
        log: the journal of the certificates, or a run folder that holds it, if it is not the one of
            source; the audit is written beside it
        progress: show a progress bar
    """
    from rsmooth.cli.models import load_own, output_file
    from rsmooth.records.files import read_log

    data = split_of(dataset, source, split)
    g = load_own(source, model.weights, model.device, image_shape(data))
    if log is None and not source.is_dir():
        raise ValueError(
            f"expected --log with the journal of the certificates, got none, and {source} is no "
            "run folder that would hold one; name the file that rsmooth certify wrote"
        )
    of = source if log is None else log
    record = read_log(of)
    states = states_of(record, of)
    check_ensemble(ensemble, rule)
    places = Places.of(source, log)
    output_file(places.audit)
    if record.statement.kind == "deterministic":
        other = {"factors": factors, "attack": attack, "num_noise": num_noise}
        _check_defaults({**other, **asdict(prediction), "precision": precision})
        members = [g, *model.others(ensemble or (), image_shape(data))]
        found = attack_proofs(
            members, rule, data, record, steps=steps, seed=seed, limit=max, progress=progress
        )
        replace_file(places.audit, f"{json.dumps({**found, **states})}\n".encode())
        print(f"wrote {places.audit}")
        return
    if rule is not None:
        raise ValueError(
            f"expected no --ensemble and no --rule for {record.statement} certificates, whose "
            "noise is audited with one model; leave them out"
        )
    asked = {"num_noise": num_noise, **asdict(prediction), "seed": seed, "precision": precision}
    limits = {"factors": factors, "limit": max, "progress": progress}
    made, by = _attacked(g, data, record, attack, steps, {**asked, **limits})
    _write(made, {"options": {**by, **asked}, **states}, places)


def _attacked(
    g: SmoothedClassifier,
    data: ImageData | FolderData,
    record: CertificationLog,
    attack: Spec | None,
    steps: int,
    options: Mapping[str, Any],
) -> tuple[Audit, dict[str, Any]]:
    """An audit of probabilistic certificates, and what a record says of its attack."""
    from rsmooth.evaluate.auditing import audit as attack_certificates
    from rsmooth.report.looks import needed_for_figures

    by, other = _other_attack(attack, steps) or ({"steps": steps}, None)
    needed_for_figures()  # before any work
    return attack_certificates(g, data, record, steps=steps, attack=other, **options), by


class Places(NamedTuple):
    """Where an audit goes: its values, the figure without its ending, and the figure's title."""

    audit: Path
    figure: Path
    title: str

    @classmethod
    def of(cls, source: Path, log: Path | None) -> Places:
        """Into the run folder of the certificates, or beside the journal that is named."""
        audit = audit_of(source if log is None else log)
        name = audit.name.removesuffix("audit.json")
        title = name.removesuffix(".") or audit.parent.name
        return cls(audit, audit.with_name(f"{name}audit-gap"), title)


def _write(made: Audit, states: Mapping[str, Any], places: Places) -> None:
    """Say what an audit found, and leave its values, what it states of itself, and its figure."""
    from rsmooth.report.looks import save_figure
    from rsmooth.report.plots import attack_gap_figure

    values = {
        name: value.tolist() if hasattr(value, "tolist") else value
        for name, value in asdict(made).items()
    }
    print(made.summary())  # first: it took hours, and the file may fail
    replace_file(places.audit, f"{json.dumps({**values, **states})}\n".encode())
    drawn = attack_gap_figure(made.radius, made.attacked_radius, title=places.title)
    figures = save_figure(drawn, places.figure)  # last: it can be drawn again
    for path in [places.audit, *figures]:
        print(f"wrote {path}")


def _other_attack(attack: Spec | None, steps: int) -> tuple[dict[str, Any], Attack] | None:
    """What a record says of the attack that is asked for, and the attack; None for our own."""
    if attack is None:
        return None
    name, options, built = with_defaults(attack, {**DEFAULT_OPTIONS, "steps": steps})
    if "steps" not in options and steps != inspect.signature(audit).parameters["steps"].default:
        raise ValueError(
            f"expected no --steps for the attack {name!r}, which has no such option, got {steps}; "
            "leave it out, or give the attack what it has (see rsmooth list attacks)"
        )
    used = built.used()
    return {"attack": {"name": name, **options}, **({"used": used} if used else {})}, built


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
