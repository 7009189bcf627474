"""Certified accuracies of a log small enough to count by hand."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import trapezoid

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.converting import in_norm, radii_in_norm
from rsmooth.records.files import write_log
from rsmooth.records.log import CertificationLog
from rsmooth.records.merging import merge
from rsmooth.records.metrics import (
    abstention_rate,
    average_certified_radius,
    base_accuracy_under_noise,
    best_runs,
    certified_accuracy,
    certified_radii,
    constant_classifier_accuracy,
    envelope,
    high_probability_accuracy,
    label_probability,
    label_probability_quantiles,
    linf_certified_accuracy,
    majority_accuracy,
    predicted_classes,
)
from rsmooth.records.statistics import compare


def log_of(label, predict, radius, **more):
    n = len(label)
    label, predict = np.asarray(label, dtype=int), np.asarray(predict, dtype=int)
    return CertificationLog(
        idx=np.arange(n),
        label=label,
        predict=predict,
        radius=radius,
        correct=label == predict,
        time=np.ones(n),
        **more,
    )


# right at .25, right at .5, wrong at .75, abstained, right at the smallest radius
LOG = log_of([0, 1, 1, 0, 1], [0, 1, 0, -1, 1], [0.25, 0.5, 0.75, 0.0, 1e-12])
EMPTY = log_of([], [], [])


def test_certified_accuracy_by_hand():
    np.testing.assert_array_equal(
        certified_accuracy(LOG, [0, 1e-12, 0.25, 0.2500001, 0.5, 0.6, 9]),
        np.array([3, 3, 2, 1, 1, 0, 0]) / 5,
    )
    assert certified_accuracy(LOG, 0.25) == 2 / 5
    assert certified_accuracy(LOG, [[0.0, 0.5]]).shape == (1, 2)


def test_average_certified_radius_by_hand():
    assert average_certified_radius(LOG) == pytest.approx((0.25 + 0.5 + 1e-12) / 5, rel=1e-12)


def test_the_area_under_the_curve_is_the_average_radius():
    radii = np.linspace(0, 1, 100_001)
    assert trapezoid(certified_accuracy(LOG, radii), radii) == pytest.approx(
        average_certified_radius(LOG), abs=1e-4
    )


@pytest.mark.parametrize("radii", [-0.1, [0.1, float("nan")]])
def test_bad_radii_are_refused(radii):
    with pytest.raises(ValueError, match="expected radii >= 0"):
        certified_accuracy(LOG, radii)


@pytest.mark.parametrize(
    "function",
    [lambda log: certified_accuracy(log, 0.0), average_certified_radius, abstention_rate],
)
def test_an_empty_log_has_no_accuracy(function):
    with pytest.raises(RecordError, match="at least one image"):
        function(EMPTY)


def test_linf_by_containment():
    np.testing.assert_array_equal(linf_certified_accuracy(LOG, [0.24999, 0.25001], 4), [1 / 5, 0])
    # 0.1 sqrt(3) to the nearest float lies below the true root, and so does not cover the ball
    short = log_of([0], [0], [0.1 * math.sqrt(3)])
    assert Fraction(float(short.radius[0])) ** 2 < 3 * Fraction(0.1) ** 2
    assert linf_certified_accuracy(short, 0.1, 3) == 0.0
    with pytest.raises(ValueError, match="expected a dimension"):
        linf_certified_accuracy(LOG, 0.1, 0)


def test_envelope_takes_the_best_and_says_whose_it_is():
    strong = log_of([0, 1, 1, 0, 1], [0, -1, -1, -1, -1], [2.0, 0, 0, 0, 0])
    np.testing.assert_array_equal(envelope([strong, LOG], [0, 0.25, 1.0]), [3 / 5, 2 / 5, 1 / 5])
    # At 0.5 both certify one image: the tie goes to the one with the higher clean accuracy,
    # whatever the order.
    np.testing.assert_array_equal(best_runs([strong, LOG], [0, 0.25, 0.5, 1.0]), [1, 1, 1, 0])
    np.testing.assert_array_equal(best_runs([LOG, strong], [0, 0.25, 0.5, 1.0]), [0, 0, 0, 1])
    np.testing.assert_array_equal(best_runs([LOG, LOG], [0, 9]), [0, 0])


def test_envelope_refuses_other_images():
    with pytest.raises(RecordError, match="idx 4 only in the first"):
        envelope([LOG, log_of([0, 1, 1, 0], [0, 1, 0, -1], [0.25, 0.5, 0.75, 0.0])], [0.25])
    with pytest.raises(RecordError, match="other labels at idx 0"):
        envelope([LOG, log_of([2, 1, 1, 0, 1], [0] * 5, [0.1] * 5)], [0.25])
    with pytest.raises(RecordError, match="at least one log"):
        envelope([], [0.25])


def deterministic(radius, norm="linf", sound=True):
    return CertificationLog.deterministic(
        LOG.label, [0, 1, 0, 1, 1], radius, norm=norm, method="ibp", sound=sound
    )


def test_envelope_refuses_another_norm_and_another_kind():
    uniform = log_of([0, 1, 1, 0, 1], [0] * 5, [0.1] * 5, provenance={"norm": "l1"})
    with pytest.raises(RecordError, match=r"log 1 states l1 radii .*in_norm\(log, .l2., dimension"):
        envelope([LOG, uniform], [0.25])
    with pytest.raises(RecordError, match="log 1 is deterministic and log 0 probabilistic"):
        envelope([LOG, deterministic([0.1] * 5, "l2")], [0.25])
    with pytest.raises(RecordError, match="log 1 states linf radii"):
        envelope([LOG, deterministic([0.1] * 5)], [0.25])


def test_what_is_not_sound_never_enters_an_envelope():
    sound = deterministic([0.0, 0.1, 0.0, 0.0, 0.0])
    claimed = CertificationLog.deterministic(
        LOG.label, LOG.label, [1.0] * 5, norm="linf", method="cascade", sound=False
    )
    for logs in ([sound, claimed], [claimed, sound]):
        np.testing.assert_array_equal(envelope(logs, [0.0, 0.1, 0.5]), [3 / 5, 1 / 5, 0])
        assert {logs[winner] for winner in best_runs(logs, [0.0, 0.1, 0.5])} == {sound}
    with pytest.raises(RecordError, match="at least one log whose certificates are sound"):
        envelope([claimed], [0.1])


def test_only_logs_have_accuracies():
    class Certificates: ...

    for function in (lambda it: certified_accuracy(it, 0.1), lambda it: envelope([it], 0.1)):
        with pytest.raises(TypeError, match=r"got Certificates; .* by to_log\(y\)"):
            function(Certificates())


@pytest.mark.parametrize(
    "function",
    [
        certified_radii,
        predicted_classes,
        label_probability,
        majority_accuracy,
        abstention_rate,
        merge,
        lambda it: compare(it, LOG, [0.1]),
        lambda it: compare(LOG, it, [0.1]),
        lambda it: in_norm(it, "linf", 4),
        lambda it: radii_in_norm(it, "linf", 4),
        lambda it: write_log(it, "log.tsv"),
    ],
)
def test_nothing_else_is_taken_for_a_log(function):
    """Least of all a result of ``certify``: its label is the predicted class."""

    class Certificates:
        label = predict = np.array([1])
        radius, correct = np.array([0.5]), np.array([True])
        counts, samples = np.array([[1, 9]]), np.array([10])
        statement, provenance = LOG.statement, {}

    for given in (Certificates(), "runs/a"):
        with pytest.raises(TypeError, match=r"got (Certificates|str); read_log .* by to_log\(y\)"):
            function([given] if function is merge else given)


def test_high_probability_accuracy_takes_the_alpha_of_the_record():
    certified = log_of(np.zeros(500), np.zeros(500), [0.5] * 500, provenance={"alpha": 0.01})
    assert high_probability_accuracy(certified, 0.5) == high_probability_accuracy(
        certified, 0.5, 0.01
    )
    assert high_probability_accuracy(deterministic([0.1] * 5), 0.1) == 3 / 5
    with pytest.raises(RecordError, match="expected alpha in the record of the log"):
        high_probability_accuracy(LOG, 0.5)


@pytest.mark.parametrize(
    ("n", "alpha", "failure"), [(500, 0.001, 0.001), (10_000, 0.001, 0.001), (1000, 0.1, 0.01)]
)
def test_high_probability_accuracy_fails_no_more_often_than_it_says(n, alpha, failure):
    # every certificate is false with probability alpha, so the true accuracy is that of the
    # certificates that hold
    certified = log_of(np.zeros(n), np.zeros(n), np.full(n, 0.5))
    bound = high_probability_accuracy(certified, [0.5, 0.6], alpha, failure)
    assert bound[1] == 0.0
    allowed = round((1.0 - bound[0]) * n)
    below = [
        sum(math.comb(n, k) * alpha**k * (1 - alpha) ** (n - k) for k in range(most + 1))
        for most in (allowed - 1, allowed)
    ]
    assert 1 - below[1] <= failure < 1 - below[0]
    with pytest.raises(RecordError, match="at least one image"):
        high_probability_accuracy(EMPTY, 0.5, alpha)


def test_the_constant_classifier_has_the_share_of_the_largest_class():
    np.testing.assert_array_equal(
        constant_classifier_accuracy(LOG, [0, 0.95, 0.9501], 0.95), [0.6, 0.6, 0.0]
    )


def test_abstentions_and_classes():
    assert abstention_rate(LOG) == 1 / 5
    assert predicted_classes(LOG) == 2
    assert predicted_classes(log_of([0, 1], [-1, -1], [0, 0])) == 0


def test_label_probability_counts_votes_for_the_true_class():
    counts = [[9, 1], [2, 8], [7, 2]]
    log = log_of([0, 0, 1], [0, 1, 0], [0.1, 0.1, 0.1], counts=counts, samples=[10, 10, 10])
    np.testing.assert_array_equal(label_probability(log), [0.9, 0.2, 0.2])
    np.testing.assert_allclose(label_probability_quantiles(log, [0, 0.5, 1]), [0.2, 0.2, 0.9])
    assert base_accuracy_under_noise(log) == pytest.approx(1.3 / 3)
    for function in (label_probability, base_accuracy_under_noise, majority_accuracy):
        with pytest.raises(RecordError, match="expected a log with vote counts"):
            function(LOG)


def test_a_class_that_the_network_lacks_is_never_voted_for():
    """A network of two classes, on a data set of more."""
    log = log_of([5, 0], [0, 0], [0.1, 0.1], counts=[[9, 1], [9, 1]], samples=[10, 10])
    np.testing.assert_array_equal(label_probability(log), [0.0, 0.9])


def test_majority_votes_count_without_a_certificate():
    log = log_of(
        [0, 1, 1], [-1, 1, -1], [0, 0.1, 0], counts=[[6, 4], [0, 10], [5, 4]], samples=[10, 10, 10]
    )
    assert majority_accuracy(log) == 2 / 3
    assert certified_accuracy(log, 0.0) == 1 / 3
