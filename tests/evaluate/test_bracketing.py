"""Certified <= true <= attacked, on networks whose truth is known."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn
from tqdm import tqdm

from rsmooth.attacks import PGD
from rsmooth.bounds import Prover
from rsmooth.certify import certify_linf
from rsmooth.data import ImageData
from rsmooth.evaluate import bracket, bracketing
from rsmooth.evaluate.bracketing import Bracket, _attacked
from rsmooth.records.log import CertificationLog
from rsmooth.smoothed import SmoothedClassifier

EPSILONS = [0.002, 0.005, 0.01, 0.02]


def linear(seed=0):
    """A linear classifier of two classes, whose l_inf distances are known exactly."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    net[1].bias.data.copy_(-(net[1].weight.data.sum(dim=1) / 2))
    return SmoothedClassifier(net, sigma=0, num_classes=2)


def data(labels=None):
    images = (0.3 + 0.4 * torch.rand(40, 1, 4, 4, generator=torch.Generator().manual_seed(1))) * 255
    labels = torch.zeros(40, dtype=torch.int64) if labels is None else labels
    return ImageData(images.to(torch.uint8), labels, torch.arange(40) * 3, 2, "random", "test")


def record(g, images, epsilons=EPSILONS):
    x = images.images.float() / 255
    return certify_linf(g, x, epsilons=epsilons).to_log(images.labels, idx=images.index.numpy())


def test_both_sides_meet_where_bounds_and_attack_are_exact():
    """Of a linear network both are: pixels of 0.3 to 0.7 leave room for every epsilon."""
    g, images = linear(), data()
    x = images.images.double() / 255
    found = bracket(g, Prover(g.base).predict, images, record(g, images))
    weight, bias = (t.double()[0] - t.double()[1] for t in g.base[1].parameters())
    distance = ((x.flatten(1) @ weight + bias).abs() / weight.abs().sum()).detach().numpy()
    attackable = found.predict == found.label
    expected = [min((e for e in EPSILONS if e > d), default=np.inf) for d in distance]
    np.testing.assert_array_equal(found.attacked[attackable], np.array(expected)[attackable])
    np.testing.assert_array_equal(found.certified, found.under_attack)
    assert not found.contradictions.any()
    assert 0 < found.certified[-1] < found.certified[0] < 1
    assert "contradicted certificates: 0" in found.summary()


def test_a_false_certificate_is_found():
    g, images = linear(), data()
    log = record(g, images)
    false = CertificationLog.deterministic(
        log.label, log.predict, np.full(40, 0.3), norm="linf", method="wishes",
        epsilons=EPSILONS, idx=log.idx,
    )  # fmt: skip
    found = bracket(g, Prover(g.base).predict, images, false)
    assert found.contradictions.sum() >= 10
    assert (found.certified >= found.under_attack).all()
    wrong, tried = int(found.contradictions.sum()), list(EPSILONS)
    assert repr(found) == f"Bracket(40 images, {wrong} contradicted; epsilons {tried})"


def test_a_change_at_the_proved_radius_itself_contradicts_it():
    nothing, radius = np.zeros(3, dtype=np.int64), np.array([0.01, 0.01, 0.0])
    attacked = np.array([0.01, 0.02, np.inf])
    found = Bracket(np.arange(3), nothing, nothing, radius, np.array([0.01, 0.02]), attacked)
    assert found.contradictions.tolist() == [True, False, False]
    assert "contradicted certificates: 1" in found.summary()


@pytest.mark.parametrize("epsilon", [1 / 255, 2 / 255, 0.01, 0.013])
def test_attacked_images_are_within_epsilon_in_exact_arithmetic(epsilon):
    """The sum of a pixel and one of these is often rounded outward, which would be too far."""
    g, x = linear(), data().images.float() / 255
    attack = PGD(epsilon=epsilon, steps=3, norm="linf")
    near = _attacked(g, attack, x, torch.zeros(len(x), dtype=torch.int64), torch.Generator())
    moved = zip(near.flatten().tolist(), x.flatten().tolist(), strict=True)
    distances = [abs(Fraction(one) - Fraction(other)) for one, other in moved]
    assert max(distances) <= Fraction(epsilon)
    assert max(distances) > Fraction(epsilon) * (1 - Fraction(1, 10**12))


def test_attacks_start_at_the_image_and_then_at_random_points(monkeypatch):
    tried = []

    def attacked(g, attack, x, y, generator):
        tried.append((attack.epsilon, attack.random_start))
        return x

    monkeypatch.setattr(bracketing, "_attacked", attacked)
    x, y = torch.zeros(2, 1, 2, 2), torch.tensor([0, 1])
    found = bracketing._smallest(
        None, lambda near: y[: len(near)], x, y, np.array([0.1, 0.2]), 1, 2, torch.Generator()
    )
    assert found.tolist() == [math.inf, math.inf]
    starts = (False, True, True)
    assert tried == [(epsilon, random) for epsilon in (0.1, 0.2) for random in starts]


def test_a_limit_takes_the_first_images():
    g, images = linear(), data()
    found = bracket(g, Prover(g.base).predict, images, record(g, images), limit=5)
    assert found.idx.tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"restarts": -1}, "expected restarts >= 0, got -1"),
        ({"restarts": 0.5}, "expected an integer restarts, got 0.5"),
        ({"limit": 0}, "expected a limit of at least 1 image"),
        ({"seed": 2**70}, "seed"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    g, images = linear(), data()
    with pytest.raises(ValueError, match=message):
        bracket(g, Prover(g.base).predict, images, record(g, images), **options)


def test_an_error_leaves_no_bar_behind():
    g, images = linear(), data()

    def broken(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as held:  # as a notebook holds on to the traceback
        bracket(g, broken, images, record(g, images), progress=True)
    assert held.tb is not None
    assert not tqdm._instances


def test_records_of_other_kinds_models_and_images_are_refused():
    g, images = linear(), data()
    log = record(g, images)
    predict = Prover(g.base).predict
    other = CertificationLog.deterministic(
        log.label, log.predict, log.radius, norm="l2", method="ibp", epsilons=EPSILONS, idx=log.idx
    )
    with pytest.raises(ValueError, match="deterministic linf certificates"):
        bracket(g, predict, images, other)
    with pytest.raises(ValueError, match="images of the log"):
        bracket(g, predict, data(torch.ones(40, dtype=torch.int64)), log)
