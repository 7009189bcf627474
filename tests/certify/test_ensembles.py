"""Rules for several networks: the sound ones hold by brute force, the published one does not."""

import itertools
from functools import partial

import pytest
import torch
from torch import nn

from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.deterministic import BoundEngine, Proof
from rsmooth.certify.ensembles import (
    RULES,
    Cascade,
    PublishedCascade,
    Voting,
    ensemble,
    ensemble_section,
)
from rsmooth.records.statement import Statement
from rsmooth.smoothed import SmoothedClassifier

SHAPE = (1, 1, 2)
SETTINGS = BoundSettings(epsilons=[0.02, 0.05])
SOUND = ["voting", "mean", "cascade"]


def toy(seed: int, classes: int = 3, scale: float = 3.0) -> SmoothedClassifier:
    """A small network on images of two pixels, whose classes share out the unit square."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, classes))
    with torch.no_grad():
        net[1].weight.mul_(scale)
        net[1].bias.copy_(-net[1].weight @ torch.rand(2))
        net[3].bias.sub_(net(torch.rand(500, 1, 1, 2)).mean(dim=0))
    return SmoothedClassifier(net.eval(), sigma=0, num_classes=classes)


def toys(count: int, seed: int = 0) -> list[SmoothedClassifier]:
    return [toy(100 * seed + at) for at in range(count)]


def points(count: int) -> torch.Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(7))


def neighbours(x: torch.Tensor, radius: float, steps: int = 13) -> torch.Tensor:
    """A grid over the box of one image, its corners included: (steps^2, 1, 1, 2)."""
    line = torch.linspace(-radius, radius, steps)
    grid = torch.tensor(list(itertools.product(line, line))).view(-1, *SHAPE)
    return (x + grid).clamp(0, 1)


def false_certificates(engine, x: torch.Tensor) -> tuple[int, int]:
    """How many images are certified, and of how many a neighbour gets another answer."""
    proofs = engine.prove(x)
    certified = [at for at, proof in enumerate(proofs) if proof.radius > 0]
    false = 0
    for at in certified:
        answers = engine.predict(neighbours(x[at], proofs[at].radius))
        false += bool((answers != proofs[at].label).any())
    return len(certified), false


@pytest.mark.parametrize("rule", SOUND)
def test_no_certificate_of_a_sound_rule_is_false(rule):
    certified = false = 0
    for seed in range(3):
        found = false_certificates(ensemble(rule, toys(3, seed), SETTINGS, SHAPE), points(25))
        certified, false = certified + found[0], false + found[1]
    assert certified >= 20
    assert false == 0


@pytest.mark.parametrize("count", [0, 1, 40])
def test_the_answers_of_a_cascade_are_those_that_it_proves(count):
    """The last stage answers without a proof of its own, and none is asked what others answered."""
    engine, x = ensemble("cascade", toys(3), SETTINGS, SHAPE), points(40)[:count]
    stages = engine._proofs(x) if count else []
    assert engine.predict(x).tolist() == [engine._answering(proofs).label for proofs in stages]
    asked = []
    for each in engine.engines:
        each.predict = partial(lambda own, x: asked.append(len(x)) or own(x), each.predict)
    answered = [at for at, proofs in enumerate(stages) if proofs[0].radius >= engine.gate]
    assert engine.predict(x[answered]).tolist() == [stages[at][0].label for at in answered]
    assert asked == ([len(answered)] if answered else [])
    assert 0 < len(answered) < 40 or count < 40


def test_certificates_of_the_published_rule_are_false():
    """The same stages, images and epsilons, and the same brute force."""
    false = 0
    for seed in range(3):
        engine = ensemble("published-cascade-not-sound", toys(3, seed), SETTINGS, SHAPE)
        false += false_certificates(engine, points(25))[1]
    assert false >= 3


def test_both_cascades_are_one_classifier():
    members, x = toys(3), points(25)
    ours, published = (kind(members, SETTINGS, SHAPE) for kind in (Cascade, PublishedCascade))
    assert torch.equal(ours.predict(x), published.predict(x))
    radii = [(a.radius, b.radius) for a, b in zip(ours.prove(x), published.prove(x), strict=True)]
    assert all(sound <= other for sound, other in radii)
    assert any(sound < other for sound, other in radii)


def test_a_cascade_of_one_network_twice_is_that_network_at_the_gate():
    member, x = toy(0), points(25)
    alone = BoundEngine(member, SETTINGS, SHAPE).prove(x)
    twice = Cascade([member, member], SETTINGS, SHAPE).prove(x)
    for one, both in zip(alone, twice, strict=True):
        assert both.label == one.label
        assert both.radius == one.radius


def test_intervals_show_that_a_stage_proves_everywhere_near():
    """By brute force: where they say so, every neighbour's own proof reaches the gate."""
    member, x = toy(1), points(40)
    cascade = Cascade([member, member], SETTINGS, SHAPE)
    engine = cascade.engines[0]
    labels = engine.predict(x)
    always = cascade._always(engine, x, labels)
    assert 3 <= sum(row[0] for row in always) < 40
    for at, row in enumerate(always):
        for radius, certain in zip(SETTINGS.epsilons, row, strict=True):
            if certain:
                near = engine.prove(neighbours(x[at], radius))
                assert all(p.label == labels[at] and p.radius >= cascade.gate for p in near)


def test_intervals_show_nothing_of_a_stage_that_does_not_use_them():
    """Other bounds may fail at a neighbour where intervals prove it."""
    member, x = toy(1), points(40)
    settings = BoundSettings(epsilons=SETTINGS.epsilons, bounds=["fast-lin"])
    cascade = Cascade([member, member], settings, SHAPE)
    labels = cascade.predict(x)
    assert not any(map(any, cascade._always(cascade.engines[0], x, labels)))


def test_a_stage_whose_logits_are_equal_has_no_class():
    """Its float argmax is 0, but another order of its sums may say otherwise."""
    member, x = toy(1), points(4)
    cascade = Cascade([member, member], SETTINGS, SHAPE)
    nn.init.zeros_(cascade.engines[0].prover.net[3].weight)
    nn.init.zeros_(cascade.engines[0].prover.net[3].bias)
    labels = cascade.engines[0].predict(x)
    assert not labels.any()
    assert not any(cascade._class_at(cascade.engines[0], x, labels))
    own = cascade.engines[1].predict(x)
    assert all(cascade._class_at(cascade.engines[1], x, own))


@pytest.mark.parametrize(
    ("votes", "winner", "radius"),
    [
        # (label, radius) of each member
        ([(0, 0.05), (0, 0.05), (1, 0.05)], 0, 0.05),
        ([(0, 0.05), (0, 0.02), (1, 0.05)], 0, 0.02),
        ([(0, 0.05), (0, 0.0), (1, 0.05)], 0, 0.0),  # the loose one may go to 1
        ([(0, 0.05), (0, 0.05), (1, 0.0)], 0, 0.05),
        ([(0, 0.05), (1, 0.05)], 0, 0.0),  # a tie, which goes to 0, but is not counted on
        ([(2, 0.05), (1, 0.0), (2, 0.05), (2, 0.0), (0, 0.05)], 2, 0.0),
        ([(2, 0.05), (2, 0.05), (2, 0.05), (1, 0.0), (0, 0.05)], 2, 0.05),
    ],
)
def test_votes_that_are_proved_outnumber_what_others_could_get(votes, winner, radius):
    engine = Voting(toys(2), SETTINGS, SHAPE)
    found = engine._decide([Proof(label, reach) for label, reach in votes])
    assert (found.label, found.radius) == (winner, radius)


NOWHERE, NEAR, ALWAYS = [False, False], [True, False], [True, True]


@pytest.mark.parametrize(
    ("last", "surely", "always", "radius"),
    [
        # The last stage's (label, radius); whether each has class 1 at x; where each proves it.
        ((0, 0.0), [False, False], [ALWAYS, NOWHERE], 0.05),
        ((0, 0.0), [False, False], [NEAR, NOWHERE], 0.02),
        ((0, 0.0), [True, False], [NOWHERE, NEAR], 0.02),
        ((0, 0.0), [False, False], [NOWHERE, ALWAYS], 0.0),  # the first may answer another class
        ((1, 0.02), [True, False], [NOWHERE, NOWHERE], 0.02),  # what is left is the last stage's
        ((1, 0.05), [True, False], [NEAR, NOWHERE], 0.05),
        ((0, 0.05), [True, True], [NOWHERE, NOWHERE], 0.0),
        ((1, 0.05), [False, True], [NOWHERE, NOWHERE], 0.0),
        ((1, 0.05), [True, False, True], [NOWHERE, NOWHERE, NOWHERE], 0.0),
        ((1, 0.05), [True, True, False], [NOWHERE, NOWHERE, NOWHERE], 0.05),
    ],
)
def test_a_cascade_is_proved_where_no_stage_before_may_answer_otherwise(
    last, surely, always, radius
):
    engine = Cascade(toys(2), SETTINGS, SHAPE)
    found = engine._decide(1, Proof(*last), surely, always)
    assert found == (Proof(1, radius, "cascade") if radius else Proof(1))


def test_the_mean_of_logits_is_one_network():
    members, x = toys(3), points(5)
    expected = torch.stack([member.base(x) for member in members]).mean(dim=0)
    proofs = ensemble("mean", members, SETTINGS, SHAPE).prove(x)
    assert [proof.label for proof in proofs] == expected.argmax(dim=1).tolist()


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "mean"])
def test_a_record_makes_the_same_engine_again(rule):
    """Of members that cannot have the same bounds, too: its methods are those of each."""
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.MaxPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    members = [toy(0), SmoothedClassifier(net, sigma=0, num_classes=3)]
    engine = ensemble(rule, members, BoundSettings(epsilons=[0.02]), SHAPE)
    assert [member.methods for member in engine.engines] == [("ibp",)] * 2
    record = engine.record()
    assert record["bounds"] == ["ibp"]
    again = BoundSettings(epsilons=record["epsilons"], bounds=record["bounds"])
    assert ensemble(rule, members, again, SHAPE).record() == record


@pytest.mark.parametrize("rule", RULES)
def test_a_record_says_whether_its_rule_is_sound(rule):
    record = ensemble(rule, toys(2), SETTINGS, SHAPE).record()
    said = Statement.of(record)
    assert said.sound == ("not-sound" not in rule)
    assert said.sound != ("not sound" in said.method)
    assert record.get("gate") == (0.05 if "cascade" in rule else None)


def test_members_have_one_set_of_classes_and_no_noise():
    with pytest.raises(ValueError, match="at least two members, got 1"):
        ensemble("voting", toys(1), SETTINGS, SHAPE)
    with pytest.raises(ValueError, match=r"the same classes, got \[3, 4\]"):
        ensemble("mean", [toy(0), toy(1, classes=4)], SETTINGS, SHAPE)
    noisy = SmoothedClassifier(toy(0).base, sigma=0.25, num_classes=3)
    with pytest.raises(ValueError, match="without noise"):
        ensemble("cascade", [toy(0), noisy], SETTINGS, SHAPE)
    with pytest.raises(ValueError, match="a rule among voting, mean, cascade, published"):
        ensemble("majority", toys(2), SETTINGS, SHAPE)


def test_the_model_section_depends_on_members_order_and_rule():
    first, second = toys(2)
    sections = [
        ensemble_section("voting", [first, second]),
        ensemble_section("voting", [second, first]),
        ensemble_section("mean", [first, second]),
    ]
    assert len({section["hash"] for section in sections}) == 3
    assert len(sections[0]["members"]) == 2


def test_members_keep_the_hashes_that_an_earlier_version_recorded(monkeypatch):
    nets = [nn.Sequential(nn.AvgPool2d(2, ceil_mode=True), nn.Flatten()), nn.Flatten()]
    members = [SmoothedClassifier(net, sigma=0, num_classes=2) for net in nets]
    with monkeypatch.context() as earlier:
        earlier.setattr("rsmooth.models.hashing._options", lambda base: b"")
        recorded = ensemble_section("voting", members)
    now = ensemble_section("voting", members)
    assert now["hash"] != recorded["hash"]
    assert ensemble_section("voting", members, recorded) == recorded
    for other in (members[::-1], members[:1] * 2):
        fresh = ensemble_section("voting", other)
        assert ensemble_section("voting", other, recorded) == fresh != recorded
