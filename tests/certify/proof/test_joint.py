import itertools

import numpy as np
import pytest
from scipy import special, stats

from rsmooth.certify.proof.joint import joint_design
from rsmooth.certify.proof.sequential import default_looks, design

LOOKS = default_looks(20_000)
GRID = special.ndtr(np.arange(0.0, 3.01, 0.25)).tolist()


def test_thresholds_are_raised_until_they_grow_with_the_share():
    shares, looks = special.ndtr(np.linspace(0.0, 3.0, 121)).tolist(), default_looks(100_000)
    alone = np.array([design(share, looks, 0.001).accept for share in shares]).T
    joint = joint_design(shares, looks, 0.001)
    assert (np.diff(alone, axis=1) < 0).any(), (
        "expected neighbouring exact designs to cross somewhere"
    )
    assert (np.diff(joint.accept, axis=1) >= 0).all()
    assert (np.diff(joint.reject, axis=1) >= 0).all()
    assert (joint.accept >= alone).all()
    assert (joint.accept - alone).max() <= 2
    assert (joint.reject < joint.accept).all()


def test_giving_up_is_lowered_until_it_grows_with_the_share():
    shares, looks = [0.772, 0.773], default_looks(100)
    low, high = (np.array(design(p, looks, 0.001, power_loss=0.06).reject[:-1]) for p in shares)
    assert (high < low).any(), "expected neighbouring exact designs to cross somewhere"
    joint = joint_design(shares, looks, 0.001, power_loss=0.06)
    assert (joint.reject[:-1] == np.stack([np.minimum(low, high), high], axis=1)).all()


@pytest.mark.parametrize("shift", [-1e-3, 0.0, 1e-9])
def test_any_wrong_acceptance_is_within_alpha_for_every_share(shift):
    joint = joint_design(GRID, LOOKS, 0.001)
    for share in GRID:
        p = min(share + shift, 1.0)
        never_giving_up = joint.type_one_error(p)
        _, accepted = joint.outcome(p)
        wrong = accepted[np.searchsorted(joint.p0, p) :]
        # found on two ways: thresholds of the smallest null alone, and all states of all tests with
        # giving up
        assert wrong.max(initial=0.0) <= never_giving_up <= 0.001
        if shift == 0.0 and share < 0.99:
            assert never_giving_up > 0.85 * 0.001
            assert wrong[0] == pytest.approx(never_giving_up, rel=0.01)  # what giving up takes away


def test_wrong_acceptances_by_simulation():
    # 50,000 streams for each of five shares, one of them between two nulls; limits are binomial
    # quantiles at 1e-7.
    rng, alpha, streams = np.random.default_rng(3), 0.01, 50_000
    joint = joint_design(GRID, default_looks(4_000), alpha)
    for p in [*GRID[:8:2], 0.93]:
        hits = rng.binomial(
            np.diff(joint.looks, prepend=0), p, size=(streams, len(joint.looks))
        ).cumsum(axis=1)
        null = np.asarray(joint.p0) >= p
        wrong = (hits[:, :, None] >= joint.accept[None][:, :, null]).any(axis=(1, 2))
        assert wrong.sum() <= stats.binom.isf(1e-7, streams, alpha)


@pytest.mark.parametrize("p", [0.45, 0.7, 0.9])
def test_outcomes_are_those_of_walking_through_every_stream(p):
    joint = joint_design([0.4, 0.55, 0.6], (4, 7, 12), 0.1, power_loss=0.2)
    mean, accepted = 0.0, np.zeros(3)
    for votes in itertools.product((0, 1), repeat=12):
        chance = p ** sum(votes) * (1 - p) ** (12 - sum(votes))
        passed, failed = np.zeros(3, dtype=bool), np.zeros(3, dtype=bool)
        for look, size in enumerate(joint.looks):
            passed |= sum(votes[:size]) >= joint.accept[look]
            failed |= sum(votes[:size]) <= joint.reject[look]
            if (passed | failed).all():
                mean += chance * size
                accepted += chance * passed
                break
    samples, probabilities = joint.outcome(p)
    assert samples == pytest.approx(mean, rel=1e-12)
    np.testing.assert_allclose(probabilities, accepted, rtol=1e-12)


def test_one_test_alone_is_the_group_sequential_test():
    joint, alone = joint_design([0.9], LOOKS, 0.001), design(0.9, LOOKS, 0.001)
    for p in (0.85, 0.9, 0.93):
        samples, accepted = joint.outcome(p)
        assert samples == pytest.approx(alone.expected_samples(p), rel=1e-9)
        assert accepted[0] == pytest.approx(alone.power(p), rel=1e-9)
        assert joint.type_one_error(p) == pytest.approx(
            alone.type_one_error(p) if p <= 0.9 else 0.0
        )


def test_answers_are_kept_though_later_hits_speak_against_them():
    joint = joint_design([0.5, 0.9], (32, 64, 128), 0.001)
    accepted = joint.advance(joint.start, 0, 32)
    assert accepted[0] == 1
    assert joint.advance(accepted, 1, 32)[0] == 1
    few = int(joint.reject[0, 1])
    assert joint.advance(joint.start, 0, few)[1] == 1
    assert joint.advance(joint.start, 1, few + 32)[1] == 2, "expected a stream that recovers"
    assert joint.advance((0, 1), 1, few + 32)[1] == 1


def test_all_looks_at_once_come_to_what_look_by_look_comes_to():
    joint, draw = joint_design(GRID, LOOKS, 0.001), np.random.default_rng(0)
    drawn, seen = np.diff(LOOKS, prepend=0), set()
    for p in np.linspace(0.4, 1.0, 61):
        state, hits = joint.start, draw.binomial(drawn, p).cumsum()
        for look, count in enumerate(hits):
            state = joint.advance(state, look, int(count))
            assert joint.state_after(hits[: look + 1]) == state
            seen.add(state)
    assert len(seen) > 50, "expected streams of many kinds"


@pytest.mark.parametrize("shares", [[], [0.6, 0.5]])
def test_shares_must_come_in_order(shares):
    with pytest.raises(ValueError, match="in growing order"):
        joint_design(shares, LOOKS, 0.001)
