"""Stored votes give the certificates that a run at the other setting would have given, or none."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from rsmooth.certify.cohen import certify
from rsmooth.certify.proof.bounds import hits_needed, radius_from_counts
from rsmooth.certify.restate import (
    append_samples,
    check_extension,
    class_under_test,
    recertify,
)
from rsmooth.noise import Laplace, Uniform
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.converting import radii_in_norm
from rsmooth.records.log import CertificationLog
from rsmooth.records.statement import Statement
from rsmooth.smoothed import SmoothedClassifier

HEADER = {
    "sigma": 0.5,
    "n0": 10,
    "n": 1000,
    "alpha": 0.001,
    "mode": "fixed",
    "target": "predict",
    "seed": 0,
    "noise": {"kind": "grid", "total_variation": 1e-12},
}


def counted(hits, *, alpha=0.001, n=1000, **change):
    """A log whose image k gave ``hits[k]`` of n votes to class 1, which is label and selection."""
    hits = np.asarray(hits)
    radius = radius_from_counts(hits, np.full_like(hits, n), 0.5, alpha, total_variation=1e-12)
    predict = np.where(radius > 0, 1, -1)
    return CertificationLog(
        idx=np.arange(len(hits)),
        label=np.ones_like(hits),
        predict=predict,
        radius=radius,
        correct=predict == 1,
        time=np.ones(len(hits)),
        counts=np.stack([n - hits, hits], axis=1),
        samples=np.full(len(hits), n),
        selection=np.tile([2, 8], (len(hits), 1)),
        invalid=np.zeros_like(hits),
        provenance={**HEADER, "alpha": alpha, "n": n, **change},
    )


HITS = [1000, 990, 700, 540, 400]


@pytest.mark.parametrize("alpha", [0.05, 0.001, 1e-6])
def test_another_alpha_is_what_that_run_would_have_given(alpha):
    again, direct = recertify(counted(HITS), alpha=alpha), counted(HITS, alpha=alpha)
    np.testing.assert_array_equal(again.radius, direct.radius)
    np.testing.assert_array_equal(again.predict, direct.predict)
    np.testing.assert_array_equal(again.correct, direct.correct)
    assert again.provenance["alpha"] == alpha
    np.testing.assert_array_equal(recertify(again, alpha=0.001).radius, counted(HITS).radius)


def test_an_abstention_may_end_at_a_larger_alpha():
    log = counted([535])
    assert log.predict.tolist() == [-1]
    assert recertify(log, alpha=0.05).predict.tolist() == [1]


def test_joint_statements_share_alpha():
    log = counted(HITS)
    np.testing.assert_array_equal(
        recertify(log, statements=5).radius, recertify(log, alpha=0.001 / 5).radius
    )
    with pytest.raises(ValueError, match="at least one statement"):
        recertify(log, statements=0)
    with pytest.raises(ValueError, match="expected n >="):
        recertify(counted([20], n=20, alpha=0.01), statements=10**6)


@pytest.mark.parametrize("p", [0.5, 0.7, 0.9, 0.95])
def test_radii_of_an_image_need_no_share_of_alpha(p):
    """The probability of any false radius of a fine grid, summed over all outcomes of the votes."""
    n, alpha, grid = 200, 0.05, np.linspace(0.0, 2.5, 1001)
    hits = np.arange(n + 1)
    radius = radius_from_counts(hits, np.full_like(hits, n), 1.0, alpha)
    # (votes, radii); radius 0 claims the class alone.
    claimed = (radius[:, None] >= grid) & (radius[:, None] > 0)
    false = grid >= stats.norm.ppf(p)
    chance = stats.binom.pmf(hits, n, p)
    at_any, at_each = chance @ (claimed & false).any(axis=1), chance @ (claimed & false)
    # The claims are nested, so one of them fails first.
    assert at_any == pytest.approx(at_each.max(), abs=1e-12)
    assert 0.01 < at_any <= alpha
    assert at_each.sum() > 2 * alpha  # what Bonferroni over these radii would have to share out


def test_total_variation_lowers_the_radius():
    coarse = counted(HITS, noise={"kind": "grid", "total_variation": 0.01})
    assert (recertify(coarse).radius[:3] < counted(HITS).radius[:3]).all()


def test_the_class_under_test_is_never_chosen_from_the_votes_that_test_it():
    log = counted(HITS)
    assert class_under_test(log).tolist() == [1] * 5
    plain = {
        "idx": [0, 1],
        "label": [1, 0],
        "predict": [1, 1],
        "radius": [0.1, 0.1],
        "correct": [1, 0],
        "time": [0, 0],
    }
    assert class_under_test(CertificationLog(**plain)).tolist() == [1, 1]
    assert class_under_test(CertificationLog(**plain, provenance={"target": "label"})).tolist() == [
        1,
        0,
    ]
    abstained = CertificationLog(**{**plain, "predict": [1, -1], "radius": [0.1, 0.0]})
    with pytest.raises(RecordError, match="expected the selection votes"):
        class_under_test(abstained)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"mode": "radius"},
            "fixed number of samples, got mode='radius'; its votes stopped where they decided",
        ),
        ({"mode": "anytime"}, "got mode='anytime'"),
        ({"n": 2000}, "expected 2000 samples for every image, got 1000 to 1000"),
    ],
)
def test_sequential_runs_are_refused(change, reason):
    log = counted(HITS)
    object.__setattr__(log, "provenance", {**HEADER, **change})
    with pytest.raises(RecordError, match=reason):
        recertify(log)
    with pytest.raises(RecordError, match=reason):
        append_samples(log, counted(HITS, seed=1), looked=False)


def test_logs_without_votes_or_configuration_are_refused():
    plain = CertificationLog(idx=[0], label=[1], predict=[1], radius=[0.1], correct=[1], time=[0])
    with pytest.raises(RecordError, match="expected a log with vote counts"):
        recertify(plain)
    said = {"norm": "linf", "kind": "deterministic", "method": "ibp"}
    proved = replace(plain, provenance={"statement": said})
    with pytest.raises(RecordError, match="deterministic certificates need no votes"):
        recertify(proved)
    log = counted(HITS)
    object.__setattr__(log, "provenance", {})
    with pytest.raises(RecordError, match=r"got none of \['alpha', 'n', 'mode'\]"):
        recertify(log)


def test_labels_without_votes_of_their_own_are_refused():
    log = counted(HITS, target="label")
    other = replace(log, label=log.label + 1, correct=np.zeros(len(log), dtype=bool))
    with pytest.raises(
        RecordError, match=r"expected labels within 0\.\.1, .* got 2; certify again"
    ):
        recertify(other)


@pytest.mark.parametrize("statements", [1.5, True, "all", None, math.nan])
def test_a_number_of_statements_is_an_integer(statements):
    with pytest.raises(ValueError, match="expected an integer number of statements, got"):
        recertify(counted(HITS), statements=statements)


def test_a_log_of_no_images_is_refused():
    with pytest.raises(RecordError, match="expected certificates, got a log without"):
        recertify(counted(np.zeros(0, dtype=np.int64)))


def test_other_norms_by_containment():
    log = counted(HITS)
    for norm in (1, 2):
        np.testing.assert_array_equal(radii_in_norm(log, norm, 3072), log.radius)
    linf = radii_in_norm(log, math.inf, 3072)
    np.testing.assert_allclose(linf, log.radius / np.sqrt(3072), rtol=1e-12)
    assert (np.sqrt(3072) * linf <= log.radius).all()
    with pytest.raises(ValueError, match="dimension"):
        radii_in_norm(log, math.inf, 0)


@pytest.mark.parametrize("noise", [Uniform(0.5), Laplace(0.3)])
def test_votes_under_another_noise_give_its_radii(noise):
    log = counted(HITS)
    header = {key: value for key, value in log.provenance.items() if key != "sigma"}
    section = {"distribution": noise.record(), "arithmetic": "integer", "total_variation": 1e-12}
    statement = {"norm": "l1", "kind": "probabilistic", "method": "m", "alpha": 0.001}
    log = replace(log, provenance={**header, "noise": section, "statement": statement})
    again = recertify(log, alpha=0.01)
    expected = radius_from_counts(np.array(HITS), 1000, noise, 0.01, total_variation=1e-12)
    np.testing.assert_array_equal(again.radius, expected)
    assert Statement.of(again.provenance) == Statement("l1", alpha=0.01, method="m")
    assert again.provenance["statement"]["alpha"] == 0.01
    more = replace(log, provenance={**log.provenance, "seed": 1})
    pooled = append_samples(log, more, looked=False)
    twice = radius_from_counts(2 * np.array(HITS), 2000, noise, 0.001, total_variation=1e-12)
    np.testing.assert_array_equal(pooled.radius, twice)
    with pytest.raises(RecordError, match=r"the runs differ in noise\.distribution\."):
        append_samples(log, counted(HITS, seed=1), looked=False)


@pytest.mark.parametrize("norm", [1, 1.5, 2, 4, math.inf])
def test_other_norms_from_l1_by_containment(norm):
    log = counted(HITS, statement={"norm": "l1"})
    found, d = radii_in_norm(log, norm, 48), 48
    corner = np.full(d, 1.0) / np.linalg.norm(np.full(d, 1.0), ord=norm)  # of unit length there
    assert (found * np.linalg.norm(corner, ord=1) <= log.radius).all()
    np.testing.assert_allclose(found * np.linalg.norm(corner, ord=1), log.radius, rtol=1e-13)
    np.testing.assert_array_equal(radii_in_norm(log, norm, 1), log.radius)


def test_a_linf_ball_holds_every_other_ball_of_its_radius():
    log = counted(HITS, statement={"norm": "linf", "kind": "deterministic"})
    for norm in (1, 2, math.inf):
        np.testing.assert_array_equal(radii_in_norm(log, norm, 3072), log.radius)


def test_unseen_samples_pool_at_the_same_alpha():
    pooled = append_samples(counted(HITS), counted(HITS, n=1000, seed=1), looked=False)
    direct = counted(np.multiply(HITS, 2), n=2000)
    np.testing.assert_array_equal(pooled.radius, direct.radius)
    np.testing.assert_array_equal(pooled.counts, direct.counts)
    assert pooled.provenance["n"] == 2000
    assert pooled.provenance["alpha"] == 0.001
    assert pooled.time.tolist() == [2.0] * 5
    thrice = append_samples(pooled, counted(HITS, seed=2), looked=False)
    np.testing.assert_array_equal(thrice.radius, counted(np.multiply(HITS, 3), n=3000).radius)
    np.testing.assert_array_equal(
        recertify(pooled, alpha=0.01).radius,
        counted(np.multiply(HITS, 2), n=2000, alpha=0.01).radius,
    )


def test_a_restatement_gives_no_alpha_back():
    """The votes were seen at 0.001, whatever they are tested at afterwards."""
    first, more = counted(HITS), counted(HITS, seed=1)
    lower = recertify(recertify(first, alpha=1e-6), alpha=1e-5)
    assert lower.statement.alpha == 1e-5
    with pytest.raises(RecordError, match=r"above the 0\.001 that the first test has spent"):
        append_samples(lower, more, looked=True, alpha=0.001)
    pooled = append_samples(lower, more, looked=True, alpha=0.003)
    assert pooled.provenance["alpha"] == pytest.approx(0.002)


def test_a_retest_after_a_look_costs_alpha():
    first, more = counted(HITS), counted(HITS, seed=1)
    pooled = append_samples(first, more, looked=True, alpha=0.003)
    np.testing.assert_array_equal(
        pooled.radius, counted(np.multiply(HITS, 2), n=2000, alpha=0.002).radius
    )
    assert (pooled.provenance["alpha"], pooled.provenance["alpha_spent"]) == (0.002, 0.003)
    assert (first.statement.alpha, pooled.statement.alpha) == (0.001, 0.003)
    with pytest.raises(RecordError, match="expected the total alpha for a retest after a look"):
        append_samples(first, more, looked=True)
    with pytest.raises(RecordError, match=r"above the 0\.001 that the first test has spent"):
        append_samples(first, more, looked=True, alpha=0.001)
    with pytest.raises(RecordError, match=r"above the 0\.003 that"):
        append_samples(pooled, counted(HITS, seed=2), looked=True, alpha=0.003)
    with pytest.raises(RecordError, match="expected votes that were tested once"):
        recertify(pooled, alpha=0.05)
    with pytest.raises(RecordError, match="expected votes that were tested once"):
        append_samples(counted(HITS, seed=5), pooled, looked=False)
    with pytest.raises(ValueError, match="alpha only with looked=True"):
        append_samples(first, more, looked=False, alpha=0.003)


def test_a_retest_at_the_same_alpha_would_break_the_guarantee():
    """Why a look costs: an image that is given two chances at alpha errs more often than alpha."""
    # Two tests of p = 1/2 at alpha = 0.05 each: 100 votes, then 200 in all. 20,000 null streams
    # give the rate to +- 0.0015, so a true rate of at most 0.05 exceeds 0.055 by chance with
    # probability 0.0006.
    draw = np.random.default_rng(0)
    first = draw.binomial(100, 0.5, 20_000)
    both = first + draw.binomial(100, 0.5, 20_000)
    free = (radius_from_counts(first, 100, 1.0, 0.05) > 0) | (
        radius_from_counts(both, 200, 1.0, 0.05) > 0
    )
    paid = (radius_from_counts(first, 100, 1.0, 0.025) > 0) | (
        radius_from_counts(both, 200, 1.0, 0.025) > 0
    )
    assert free.mean() > 0.055
    assert paid.mean() < 0.055


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (counted(HITS), "expected fresh noise, got seed 0 in both runs"),
        (counted(HITS, seed=1, sigma=1.0), r"differ in noise\.distribution\.sigma"),
        (counted(HITS, seed=1, model={"hash": "other"}), "the runs differ in model"),
        (counted(HITS[:4], seed=1), "5 and 4 images"),
    ],
)
def test_votes_that_do_not_belong_together_are_refused(more, reason):
    with pytest.raises(RecordError, match=reason):
        append_samples(counted(HITS), more, looked=False)


def test_results_of_other_models_and_of_other_images_are_not_pooled():
    """Records in memory name no data set: the hashes of the model and of the images say it."""

    def log(net, x, seed, index=None):
        g = SmoothedClassifier(net, sigma=0.25, num_classes=2)
        made = certify(g, x, n0=10, n=100, seed=seed, index=index)
        return made.to_log(torch.tensor([0, 1]))

    torch.manual_seed(0)
    one, other = (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)) for _ in range(2))
    x = torch.tensor([0.0, 1.0]).repeat(4).view(2, 1, 2, 2)
    first = log(one, x, 0)
    pooled = append_samples(first, log(one, x, 1), looked=False)
    assert pooled.samples.tolist() == [200, 200]
    assert append_samples(pooled, log(one, x, 2), looked=False).samples.tolist() == [300, 300]
    assert pooled.provenance["keyed_by"] == "pixels"
    mixed = append_samples(pooled, log(one, x, 2, torch.arange(2)), looked=False)
    assert "keyed_by" not in mixed.provenance
    with pytest.raises(RecordError, match=r"differ in model\.hash"):
        append_samples(first, log(other, x, 1), looked=False)
    with pytest.raises(RecordError, match="differ in pixels"):
        append_samples(first, log(one, 1 - x, 1), looked=False)


def test_a_retest_whose_size_was_cut_to_the_results_would_break_the_guarantee():
    """Why the number of further samples must not depend on the votes: exact, over all results."""
    n, alpha = 1000, 0.001
    first = np.arange(n + 1)
    chance = stats.binom.pmf(first, n, 0.5)

    def fails(more):
        """P(the pooled test passes though p = 1/2), given the votes of the first."""
        return stats.binom.sf(hits_needed(1.0, 0.0, n + more, alpha) - 1 - first, more, 0.5)

    planned, fitted = fails(n), np.max([fails(more) for more in range(20, 20 * n, 100)], axis=0)
    assert chance @ planned <= alpha
    assert 2.5 * alpha < chance @ fitted < 3 * alpha


def test_another_alpha_for_pooled_votes_is_spent_whole():
    pooled = append_samples(counted(HITS), counted(HITS, seed=1), looked=False)
    again = recertify(pooled, alpha=0.01)
    assert (again.provenance["alpha"], again.provenance["alpha_spent"]) == (0.01, 0.01)
    np.testing.assert_array_equal(recertify(again, alpha=0.001).radius, pooled.radius)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mode": "grid"}, "got mode='grid'"),
        ({"seed": 0}, "expected fresh noise, got seed 0 in both runs"),
        ({"target": "label"}, r'the runs differ in target \("predict", here "label"\)'),
        (
            {"numerics": {"dtype": "bfloat16"}},
            r"the runs differ in numerics \(absent, here .*with extends",
        ),
    ],
)
def test_what_could_not_be_appended_is_told_beforehand(change, reason):
    check_extension(counted(HITS), {**HEADER, "seed": 1})
    with pytest.raises(RecordError, match=reason):
        check_extension(counted(HITS), {**HEADER, "seed": 1, **change})
    with pytest.raises(RecordError, match="got mode='radius'"):
        check_extension(counted(HITS, mode="radius"), {**HEADER, "seed": 1})


@pytest.mark.parametrize("first_counts", [True, False])
def test_samples_without_a_vote_are_known_where_both_runs_counted_them(first_counts):
    """One run without them may lack votes, which the other's numbers do not explain."""
    told = counted([900, 400], seed=1)
    bare = replace(told, counts=told.counts - [[1, 0], [0, 0]], invalid=None)
    first, more = (counted([990, 500]), bare) if first_counts else (bare, counted([990, 500]))
    pooled = append_samples(first, more, looked=False)
    assert pooled.invalid is None
    assert pooled.counts.tolist() == [[109, 1890], [1100, 900]]
    lost = replace(bare, invalid=np.array([1, 0]))
    both = append_samples(lost, counted([990, 500]), looked=False)
    assert both.invalid.tolist() == [1, 0]


def test_an_unfinished_run_is_not_extended():
    """Its further images would be drawn in vain: samples are added up image by image."""
    part = counted(HITS, dataset={"images": len(HITS) + 1})
    header = {**HEADER, "seed": 1, "dataset": {"images": len(HITS) + 1}}
    with pytest.raises(RecordError, match=rf"a finished run to extend, got {len(HITS)} of "):
        check_extension(part, header)


def test_the_same_noise_is_refused_after_an_extension_too():
    pooled = append_samples(counted(HITS), counted(HITS, seed=1), looked=False)
    with pytest.raises(RecordError, match="got seed 1 in both runs"):
        append_samples(pooled, counted(HITS, seed=1), looked=False)
