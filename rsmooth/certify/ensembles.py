"""Deterministic certificates of several networks that decide together.

The rule of a published cascade (Wong et al. 2018, arXiv:1805.12514) is no certificate: at a
perturbed image another stage may answer (Mangal et al. 2022, arXiv:2206.00278). It is here under a
name that says so, beside rules that are sound.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rsmooth.bounds.proving import smallest_margin
from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.deterministic import (
    BoundEngine,
    Engine,
    Proof,
    check_noiseless,
    record_of,
    widened,
)
from rsmooth.certify.run.header import is_hash_of, model_hash
from rsmooth.models.ensemble import Ensemble
from rsmooth.smoothed import SmoothedClassifier


def mean_classifier(members: Sequence[SmoothedClassifier]) -> SmoothedClassifier:
    """The classifier of the mean of logits of classifiers without noise."""
    for member in members:
        check_noiseless(member)
    base = Ensemble([member.base for member in members])
    return SmoothedClassifier(base, sigma=0, num_classes=members[0].num_classes)


class _Members:
    """Several networks with the same settings; by default, the bounds that each of them can have.

    A cascade depends on its bounds, so a record has to name those of every stage.
    """

    rule: str
    sound = True

    def __init__(
        self, members: Sequence[SmoothedClassifier], settings: BoundSettings, shape: Sequence[int]
    ) -> None:
        check_members(members)
        self.settings = settings
        self.engines = [BoundEngine(member, settings, shape) for member in members]
        common = set.intersection(*(set(engine.methods) for engine in self.engines))
        self.methods = tuple(name for name in self.engines[0].methods if name in common)
        for engine in self.engines:
            engine.methods = self.methods

    def record(self) -> dict[str, Any]:
        return record_of(
            f"{self.rule} of {len(self.engines)}: {', '.join(self.methods)}",
            self.settings,
            self.methods,
            sound=self.sound,
        )

    def _proofs(self, x: Tensor) -> list[tuple[Proof, ...]]:
        """The proofs of all members, per image."""
        return list(zip(*(engine.prove(x) for engine in self.engines), strict=True))


class Voting(_Members):
    """The class that most members answer, the lowest of equal ones; proved by proved votes.

    A proved vote cannot change within epsilon, and any other may go anywhere. So the winner is
    proved if its proved votes are more than the proved ones of any other class and all that are
    not proved.
    """

    rule = "voting"

    def predict(self, x: Tensor) -> Tensor:
        """The classes (B,) of images (B, C, H, W)."""
        answers = torch.stack([engine.predict(x) for engine in self.engines])
        return torch.tensor([_most_frequent(column.tolist()) for column in answers.T], device="cpu")

    def prove(self, x: Tensor) -> list[Proof]:
        return [self._decide(proofs) for proofs in self._proofs(x)]

    def _decide(self, proofs: Sequence[Proof]) -> Proof:
        winner = _most_frequent([proof.label for proof in proofs])
        proved = [e for e in self.settings.epsilons if _wins(winner, proofs, e)]
        return Proof(winner, proved[-1], self.rule) if proved else Proof(winner)


def _most_frequent(labels: list[int]) -> int:
    return min(set(labels), key=lambda label: (-labels.count(label), label))


def _wins(winner: int, proofs: Sequence[Proof], epsilon: float) -> bool:
    """Whether the proved votes of a class outnumber all that another could get."""
    proved = [proof.label for proof in proofs if proof.radius >= epsilon]
    loose = len(proofs) - len(proved)
    others = max((proved.count(label) for label in set(proved) - {winner}), default=0)
    return proved.count(winner) > others + loose


class _Stages(_Members):
    """Stages in order: the first answers that proves its own answer at the largest epsilon.

    The last one answers what is left, proved or not. So the classifier depends on that epsilon, and
    on the bounds.
    """

    @property
    def gate(self) -> float:
        """The epsilon at which a stage has to prove its answer."""
        return float(self.settings.epsilons[-1])

    def predict(self, x: Tensor) -> Tensor:
        """The classes (B,) of images (B, C, H, W), which take proofs of all but the last stage."""
        answers = torch.full((len(x),), -1, device="cpu")
        for engine in self.engines[:-1]:
            left = (answers < 0).nonzero().flatten()
            proofs = engine.prove(x[left]) if len(left) else []
            for at, proof in zip(left.tolist(), proofs, strict=True):
                if proof.radius >= self.gate:
                    answers[at] = proof.label
        left = (answers < 0).nonzero().flatten()
        if len(left):
            answers[left] = self.engines[-1].predict(x[left])
        return answers

    def record(self) -> dict[str, Any]:
        return {**super().record(), "gate": self.gate}

    def _answering(self, proofs: Sequence[Proof]) -> Proof:
        return next((proof for proof in proofs if proof.radius >= self.gate), proofs[-1])


class Cascade(_Stages):
    """A cascade with certificates that hold.

    Let e be the gate's epsilon, and x' an image within r <= e of x. Then x lies within e of x'. So
    a stage that proves a class at x' over e answers that class at x, too: at x' a stage can answer
    nothing but its class at x. The cascade answers y at every x' if, for some stage k, all stages
    before it have the class y at x, and stage k proves y at every x', which intervals show that
    prove it over e + r (``Prover.certain_margins``); or if k is the last stage, whose answer is
    final, and it is proved for y over r.
    """

    rule = "cascade"

    def prove(self, x: Tensor) -> list[Proof]:
        stages = self._proofs(x)
        answers = [self._answering(proofs).label for proofs in stages]
        labels = torch.tensor(answers, device="cpu")
        surely = [self._class_at(engine, x, labels) for engine in self.engines]
        always = [self._always(engine, x, labels) for engine in self.engines]
        return [
            self._decide(
                answers[at],
                stages[at][-1],
                [column[at] for column in surely],
                [column[at] for column in always],
            )
            for at in range(len(x))
        ]

    def _decide(
        self, label: int, last: Proof, surely: Sequence[bool], always: Sequence[Sequence[bool]]
    ) -> Proof:
        """surely: whether each stage has the class at x. always: per stage, at each epsilon."""
        radius = 0.0
        for step, epsilon in enumerate(self.settings.epsilons):
            for stage, certain in enumerate(always):
                final = stage == len(always) - 1
                proved = final and last.label == label and last.radius >= epsilon
                if certain[step] or proved:
                    radius = float(epsilon)
                    break
                if not surely[stage]:
                    break
        return Proof(label, radius, self.rule) if radius else Proof(label)

    def _class_at(self, engine: BoundEngine, x: Tensor, labels: Tensor) -> list[bool]:
        """Whether the stage has those classes at x, in exact arithmetic."""
        margins = engine.prover.margins(x, labels, 0.0, "ibp").cpu()
        return (smallest_margin(margins, labels) > 0).tolist()

    def _always(self, engine: BoundEngine, x: Tensor, labels: Tensor) -> list[list[bool]]:
        """Per image, whether the stage proves that class at every image within each epsilon."""
        if "ibp" not in self.methods:
            return [[False] * len(self.settings.epsilons)] * len(x)
        columns = []
        for radius in self.settings.epsilons:
            gate, moved = widened(self.gate), widened(float(radius))
            margins = engine.prover.certain_margins(x, labels, gate, moved).cpu()
            columns.append((smallest_margin(margins, labels) > 0).tolist())
        return [list(row) for row in zip(*columns, strict=True)]


class PublishedCascade(_Stages):
    """The published rule: what the answering stage proves counts. It is not sound.

    Wong et al. 2018 (arXiv:1805.12514), section 3.3; refuted by Mangal et al. 2022
    (arXiv:2206.00278). Its record says that it proves nothing.
    """

    rule = "published cascade rule, which is not sound"
    sound = False

    def prove(self, x: Tensor) -> list[Proof]:
        return [self._answering(proofs) for proofs in self._proofs(x)]


def _mean(
    members: Sequence[SmoothedClassifier], settings: BoundSettings, shape: Sequence[int]
) -> Engine:
    check_members(members)
    return BoundEngine(mean_classifier(members), settings, shape)


RULES: dict[str, Callable[..., Engine]] = {
    "voting": Voting,
    "mean": _mean,
    "cascade": Cascade,
    "published-cascade-not-sound": PublishedCascade,
}


def ensemble(
    rule: str,
    members: Sequence[SmoothedClassifier],
    settings: BoundSettings,
    shape: Sequence[int],
) -> Engine:
    """What proves certificates of several networks under a rule.

        ensemble("voting", [first, second, third], BoundSettings(epsilons=[2 / 255]), (3, 32, 32))

    rule: "voting"; "mean" of logits; "cascade", whose first stage that proves its answer gives it;
        or "published-cascade-not-sound".
    members: classifiers without noise, in the order of the stages.

    ValueError for another rule, fewer than two members, and members of different classes.
    """
    if rule not in RULES:
        raise ValueError(f"expected a rule among {', '.join(RULES)}, got {rule!r}")
    return RULES[rule](members, settings, shape)


def check_members(members: Sequence[SmoothedClassifier]) -> None:
    """ValueError for fewer than two members, noise, or different numbers of classes."""
    if len(members) < 2:
        raise ValueError(f"expected at least two members, got {len(members)}; name further runs")
    for member in members:
        check_noiseless(member)
    classes = {member.num_classes for member in members}
    if len(classes) > 1:
        raise ValueError(f"expected members of the same classes, got {sorted(classes)} of them")


def ensemble_section(
    rule: str, members: Sequence[SmoothedClassifier], recorded: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The model section of a record: its members and their rule.

    recorded: that of the record to go on with; hashes of members in other words stay.
    """
    known = list((recorded or {}).get("members", ()))
    if len(known) == len(members) and all(map(is_hash_of, known, members)):
        hashes = known
    else:
        hashes = [model_hash(member) for member in members]
    joint = hashlib.sha256(f"{rule} {' '.join(hashes)}".encode()).hexdigest()[:16]
    return {"hash": joint, "rule": rule, "members": hashes}
