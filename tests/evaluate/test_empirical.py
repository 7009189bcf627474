"""Empirical accuracy and attack radius of a linear classifier, whose distances are known."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.attacks.view import PrecisionView
from rsmooth.certify import predict
from rsmooth.evaluate import (
    answers_under_attack,
    attack_radius,
    empirical,
    empirical_accuracy,
)
from rsmooth.records.log import ABSTAIN
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import Hole, base_labels, images, linear_net, smooth_net

both = pytest.mark.parametrize(
    "function",
    [
        empirical_accuracy,
        lambda g, x, y, attack, **options: attack_radius(g, x, y, attack, [0.1], **options),
    ],
)


def halfspace(batch=40):
    """Images, labels and exact distances; the noise is too small to change any vote."""
    g, x = linear_net(sigma=1e-6), images(batch)
    with torch.no_grad():
        logits, weight = g.base(x), g.base[1].weight
    distance = (logits[:, 0] - logits[:, 1]).abs() / (weight[0] - weight[1]).norm()
    return g, x, base_labels(g, x), distance


def test_attack_radius_is_the_first_epsilon_beyond_the_distance():
    g, x, y, distance = halfspace()
    epsilons = [0.4, 0.02, 0.1]
    y[0] = 1 - y[0]
    radius = attack_radius(g, x, y, PGD(epsilon=1.0, steps=2), epsilons, n=5)
    expected = [min((e for e in epsilons if e > d), default=math.inf) for d in distance.tolist()]
    expected[0] = 0.0
    assert radius.dtype == torch.float64
    assert radius.tolist() == expected
    assert len(set(expected)) >= 4, "all cases must occur"


def test_empirical_accuracy_is_the_fraction_beyond_epsilon():
    g, x, y, distance = halfspace()
    for epsilon in (0.0, 0.05, 0.2):
        accuracy = empirical_accuracy(g, x, y, PGD(epsilon=epsilon, steps=2), n=5)
        assert accuracy == (distance > epsilon).double().mean().item()
    assert empirical_accuracy(g, x, 1 - y, PGD(epsilon=0.0, steps=1), n=5) == 0


def test_the_vote_is_the_majority_of_n_fresh_samples():
    """Two thirds of the noise vote for class 1: one sample errs on a third of the images.

    200 samples err on none of the 300 images.
    False alarms: a vote of 200 errs on one image with probability 4e-7; the share of a single vote
    misses 1/3 by 0.1, 3.7 of its standard deviations, with probability 2e-4. The seed is fixed.
    """

    class Threshold(nn.Module):
        def forward(self, x):
            return (
                torch.stack(
                    [torch.zeros_like(x[:, 0, 0, 0]), (x[:, 0, 0, 0] - 0.5 + 0.0431).sign()], dim=1
                )
                + x.sum(dim=(1, 2, 3))[:, None] * 0
            )

    g = SmoothedClassifier(Threshold(), 0.1, 2)
    x, y = torch.full((300, 1, 2, 2), 0.5, dtype=torch.float64), torch.ones(300, dtype=torch.int64)
    attack = PGD(epsilon=0.0, steps=1)
    one = empirical_accuracy(g, x, y, attack, n=1, generator=torch.Generator().manual_seed(0))
    many = empirical_accuracy(g, x, y, attack, n=200, generator=torch.Generator().manual_seed(0))
    assert abs(one - 2 / 3) < 0.1
    assert many == 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_noise_that_half_precision_would_round_away_votes_too(dtype):
    """False alarms: half of 1000 images, missed by 6 of its standard deviations; a fixed seed."""
    above = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).requires_grad_(False)
    above[1].weight.copy_(torch.tensor([[-1.0], [1.0]]))
    above[1].bias.copy_(torch.tensor([0.75, -0.75]))
    g, x = SmoothedClassifier(above, 1e-4, 2), torch.full((1000, 1, 1, 1), 0.75, dtype=dtype)
    y, generator = torch.ones(1000, dtype=torch.int64), torch.Generator().manual_seed(0)
    answers = answers_under_attack(g, x, y, None, n=1, batch_size=1000, generator=generator)
    assert abs(int(answers.sum()) - 500) < 95


def test_the_passes_keep_to_the_batch_size_and_draw_n_samples_per_image():
    g, x = smooth_net().train(), images(7)
    y = base_labels(g, x)
    sizes = []
    handle = g.base.register_forward_pre_hook(
        lambda module, points: sizes.append((len(points[0]), module.training))
    )
    result = empirical_accuracy(
        g,
        x,
        y,
        SmoothAdvPGD(epsilon=0.1, steps=2),
        num_noise=3,
        n=10,
        batch_size=8,
        precision="float32",
    )
    handle.remove()
    assert 0 <= result <= 1
    assert max(size for size, _ in sizes) <= 8
    assert sum(size for size, _ in sizes) == 7 * (2 * 3 + 10)
    assert not any(training for _, training in sizes)
    assert g.training
    tight = attack_radius(
        g,
        x,
        y,
        SmoothAdvPGD(epsilon=0.1, steps=2),
        [0.1, 9.0],
        num_noise=3,
        n=10,
        batch_size=1,
        precision="float32",
    )
    assert tight.shape == (7,)


def test_the_generator_decides_everything():
    g, x = smooth_net(sigma=0.5), images(20)
    y = base_labels(g, x)
    attack = SmoothAdvPGD(epsilon=0.3, steps=2)

    def run(seed, **options):
        return [
            empirical_accuracy(
                g, x, y, attack, generator=torch.Generator().manual_seed(s), n=3, **options
            )
            for s in range(seed, seed + 6)
        ]

    assert run(0) == run(0)
    assert run(0) != run(50)
    assert run(0) != run(0, num_noise=8)


@both
def test_labels_may_be_of_every_kind(function):
    g, x, y, _ = halfspace(3)
    attack = PGD(epsilon=0.1, steps=1)
    found = [
        torch.as_tensor(
            function(g, x, kind, attack, n=20, generator=torch.Generator().manual_seed(0))
        )
        for kind in (y, y.tolist(), tuple(y.tolist()), y.numpy())
    ]
    assert all(torch.equal(each, found[0]) for each in found)


@both
def test_bad_input_is_refused(function):
    g, x, y, _ = halfspace(3)
    attack = PGD(epsilon=0.1, steps=1)
    with pytest.raises(
        ValueError, match="expected an untargeted attack, since y are the true labels"
    ):
        function(g, x, y, PGD(epsilon=0.1, steps=1, targeted=True))
    with pytest.raises(ValueError, match="expected at least one image"):
        function(g, x[:0], y[:0], attack)
    with pytest.raises(ValueError, match="expected images in"):
        function(g, x + 1, y, attack)
    with pytest.raises(ValueError, match="expected 3 integer labels"):
        function(g, x, y[:2], attack)
    with pytest.raises(ValueError, match=r"expected n >= 1 and batch_size >= 1, got n=0"):
        function(g, x, y, attack, n=0)
    with pytest.raises(
        ValueError, match=r"expected n >= 1 and batch_size >= 1, got n=5 and batch_size=0"
    ):
        function(g, x, y, attack, n=5, batch_size=0)
    with pytest.raises(ValueError, match="expected num_noise >= 1, got 0"):
        function(g, x, y, attack, num_noise=0)
    for name in ("num_noise", "n", "batch_size"):
        for value in (1.5, math.nan, True, "5"):
            with pytest.raises(ValueError, match=f"expected an integer {name}, got"):
                function(g, x, y, attack, **{name: value})


def test_without_epsilons_there_is_no_attack_radius():
    """Not infinity, which says that no attack succeeds."""
    g, x, y, _ = halfspace(3)
    with pytest.raises(ValueError, match=r"expected epsilons, at least one, got \[\]"):
        attack_radius(g, x, y, PGD(epsilon=0.1, steps=1), [])
    with pytest.raises(ValueError, match=r"expected epsilons, at least one, got 0\.5; give a list"):
        attack_radius(g, x, y, PGD(epsilon=0.1, steps=1), 0.5)


@pytest.mark.parametrize("epsilon", [math.nan, math.inf, -0.1, "a", True])
def test_what_is_no_epsilon_is_refused_also_where_no_image_is_left_to_attack(epsilon):
    g, x, y, _ = halfspace(3)
    with pytest.raises(ValueError, match=r"expected .*epsilon"):
        attack_radius(g, x, 1 - y, PGD(epsilon=0.1, steps=1), [0.1, epsilon])


def test_the_index_is_one_number_per_image_and_the_attack_is_one():
    g, x, y, _ = halfspace(3)
    for index in (torch.arange(5), torch.arange(2), torch.tensor([0.5, 1.0, 2.0])):
        with pytest.raises(
            ValueError, match=r"expected (an index of 3 integers >= 0|integer index)"
        ):
            answers_under_attack(g, x, y, None, n=20, alpha=0.01, index=index)
    with pytest.raises(TypeError, match="expected an attack such as PGD"):
        answers_under_attack(g, x, y, "pgd", n=20)


def test_nan_logits_yield_no_number():
    g, x = SmoothedClassifier(Hole(), 0.1, 2), images(3)
    x[:, 0, 0, 0] = 0.5
    with pytest.raises(
        ValueError, match="expected finite logits from the base classifier, got NaN"
    ):
        attack_radius(
            g, x, torch.zeros(3, dtype=torch.int64), PGD(epsilon=0.1, steps=1), [0.1], n=50
        )


def test_attack_radius_takes_the_epsilons_not_the_attacks_own():
    g, x, y, _ = halfspace(5)
    one = attack_radius(g, x, y, PGD(epsilon=0.0, steps=2), [0.02, 0.4], n=5)
    assert_close(one, attack_radius(g, x, y, PGD(epsilon=9.0, steps=2), [0.4, 0.02], n=5))


@pytest.mark.parametrize("alpha", [None, 1e-3])
def test_a_classifier_without_noise_answers_with_its_largest_logit(alpha):
    g, x = linear_net(sigma=0.0), images(12)
    y = base_labels(g, x)
    assert answers_under_attack(g, x, y, None, n=20, alpha=alpha).tolist() == y.tolist()
    attack = PGD(epsilon=0.1, steps=2)
    found = answers_under_attack(g, x, y, attack, n=20, alpha=alpha)
    assert found.tolist() == base_labels(g, attack(g, x, y)).tolist()
    assert (found != y).any(), "a case without a success shows nothing"


def test_without_noise_nothing_is_rounded_unless_asked(monkeypatch):
    """The logits are 256 and 256.5, which bfloat16 does not tell apart: its answer would be 0."""
    monkeypatch.setattr("rsmooth.attacks.view.resolve_precision", lambda *_: "bfloat16")
    linear = nn.Linear(4, 2)
    nn.init.zeros_(linear.weight)
    linear.bias.data = torch.tensor([256.0, 256.5])
    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), linear), 0.0, 2)
    x, y = torch.full((3, 1, 2, 2), 0.5), torch.ones(3, dtype=torch.int64)
    for alpha in (None, 1e-3):
        assert answers_under_attack(g, x, y, None, n=20, alpha=alpha).tolist() == [1, 1, 1]
        rounded = answers_under_attack(g, x, y, None, n=20, alpha=alpha, precision="bfloat16")
        assert rounded.tolist() == [0, 0, 0]
    with pytest.warns(UserWarning, match="the gradient was zero at every step"):
        radius = attack_radius(g, x, y, PGD(epsilon=0.1, steps=1), [0.1])
    assert radius.tolist() == [math.inf] * 3


def test_votes_by_predict_abstain_and_an_abstention_is_wrong():
    g, x = smooth_net(sigma=0.5), images(12)
    y = base_labels(g, x)
    index = torch.arange(12)
    answers = answers_under_attack(g, x, y, None, n=20, alpha=1e-3, seed=3, index=index)
    same = predict(g, x, n=20, alpha=1e-3, seed=3, index=index, arithmetic="float").label
    assert answers.tolist() == same.tolist()
    assert (answers == ABSTAIN).any(), "a case without an abstention shows nothing"
    accuracy = empirical_accuracy(g, x, y, PGD(epsilon=0.0, steps=1), n=20, alpha=1e-3, seed=3)
    assert accuracy <= (answers != ABSTAIN).double().mean()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_votes_are_of_the_function_that_was_searched(precision, monkeypatch):
    """Both in the precision that was asked for, and PREDICT too."""
    g, x = smooth_net().float(), images(3).float()
    y, seen = base_labels(g, x), []
    log_probs, said = SmoothedClassifier.log_probs, empirical.predict
    monkeypatch.setattr(
        SmoothedClassifier,
        "log_probs",
        lambda self, points: (seen.append(type(self)), log_probs(self, points))[1],
    )
    monkeypatch.setattr(
        empirical, "predict", lambda *a, **k: (seen.append(k["precision"]), said(*a, **k))[1]
    )
    attack = SmoothAdvPGD(epsilon=0.1, steps=1)
    empirical_accuracy(g, x, y, attack, n=10, precision=precision)
    attack_radius(g, x, y, attack, [0.1], n=10, precision=precision)
    assert set(seen) == {SmoothedClassifier if precision == "float32" else PrecisionView}
    seen.clear()
    empirical_accuracy(g, x, y, attack, n=20, alpha=0.01, precision=precision)
    assert precision in seen
