"""Groups of rows that may be compared, and which differences may be claimed."""

import numpy as np
import pytest

from rsmooth.certify.proof.bounds import lower_confidence_bound
from rsmooth.noise.distributions import Gaussian
from rsmooth.records.metrics import certified_accuracy
from rsmooth.records.pairs import changes, holm, mcnemar
from rsmooth.report.board import build_board
from rsmooth.report.collecting import LeftOut
from rsmooth.report.entries import MEASURED, QUOTED, Entry, Quoted
from rsmooth.report.runs import Run
from tests.report.by_hand import HEADER
from tests.report.test_entries import entry_of, log_of

EVERY_SECOND = np.arange(0, 200, 2)


def quoted(name, accuracy, **options):
    return Entry(name, QUOTED, "a table", "cifar10", 0.25, quoted=Quoted(accuracy, 100), **options)


def test_rows_are_grouped_by_data_noise_images_and_statement():
    entries = [entry_of(0), entry_of(1), entry_of(2, noise=0.5), entry_of(3, "mnist")]
    board = build_board(entries, [LeftOut("x", "y")])
    assert [(group.data, group.noise, len(group.entries)) for group in board.groups] == [
        ("cifar10", 0.25, 2), ("cifar10", 0.5, 1), ("mnist", 0.25, 1),
    ]  # fmt: skip
    assert board.left_out == (LeftOut("x", "y"),)
    assert board.groups[1].pairs is None


def test_logs_of_more_images_are_cut_to_those_of_a_group():
    small = entry_of(0, idx=EVERY_SECOND)
    rows = [small, entry_of(1), quoted("q", {0.0: 0.8, 0.5: 0.4}, idx=EVERY_SECOND)]
    by_size = {group.subset: group for group in build_board(rows).groups}
    assert len(by_size["images 0 to 199, 200"].entries) == 1
    group = by_size["every 2nd image, 100"]
    assert [entry.method for entry in group.entries] == sorted(
        ("m0", "m1", "q"), key=lambda name: -share(name, group)
    )
    (whole,) = (entry for entry in group.entries if entry.method == "m1")
    assert whole.note == "these of its 200 images"
    np.testing.assert_array_equal(whole.run.log.idx, EVERY_SECOND)
    assert group.radii == (0.5,)
    assert {entry.method for entry in group.compared} == {"m0", "m1"}


def share(name, group):
    (entry,) = (each for each in group.entries if each.method == name)
    return 0.4 if entry.run is None else float(certified_accuracy(entry.run.log, 0.5))


def test_marks_follow_holms_correction():
    entries = [entry_of(seed) for seed in range(4)]
    better = log_of(9)
    better.radius[:] = 0.9
    entries.append(Entry("better", MEASURED, "here", "cifar10", 0.25, Run("better", better)))
    (group,) = build_board(entries).groups
    radii = [0.0, *group.radii]
    logs = [entry.run.log for entry in group.compared]
    count = len(logs)
    p = [
        mcnemar(*changes(logs[one], logs[other], radii))
        for one in range(count) for other in range(one + 1, count)
    ]  # fmt: skip
    assert group.pairs.tests == np.size(p)
    upper = group.pairs.adjusted[np.triu_indices(count, 1)]
    np.testing.assert_allclose(np.sort(upper.ravel()), np.sort(holm(p).ravel()))
    for place, radius in enumerate(radii):
        values = [float(certified_accuracy(log, radius)) for log in logs]
        best = int(np.argmax(values))
        for number, entry in enumerate(group.compared):
            mark = group.marks(entry)[place]
            if values[number] == max(values):
                assert mark == "best"
            else:
                assert (mark == "level") == (group.pairs.adjusted[number, best, place] >= 0.05)
    assert group.marks(entries[-1])[1:4] == ["best"] * 3
    assert "" in {mark for entry in entries[:4] for mark in group.marks(entry)}


def test_what_cannot_be_compared_is_said():
    odd = log_of(1, dataset={"fingerprint": "a"})
    even = log_of(2, dataset={"fingerprint": "b"})
    false = log_of(3, statement={"norm": "l2", "kind": "probabilistic", "sound": False})
    entries = [
        Entry(name, MEASURED, name, "cifar10", 0.25, Run(name, log))
        for name, log in (("odd", odd), ("even", even), ("false", false))
    ]
    (group,) = build_board(entries).groups
    assert [entry.method for entry in group.compared] == ["odd"]
    reasons = [each.reason for each in group.apart]
    assert reasons == ["data fingerprints a and b", "known to prove nothing"]
    assert group.marks(entries[1]) == [""] * (1 + len(group.radii))


def test_a_radius_that_a_run_did_not_decide_is_not_compared():
    asked = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.5]}, "dataset": {}}
    del asked["seed"]
    grid = Entry("grid", MEASURED, "g", "cifar10", 0.25, Run("grid", log_of(1, **asked)))
    q = quoted("q", {0.0: 0.8, 0.25: 0.5, 0.5: 0.4}, idx=np.arange(200))
    (group,) = build_board([entry_of(0), grid, q]).groups
    assert group.radii == (0.25, 0.5)
    assert group.pairs.tests == 1  # at 0.5 alone
    assert group.marks(grid)[:2] == ["", ""]
    assert group.marks(grid)[2] != ""


def test_the_constant_classifier_is_known_by_the_labels():
    rows = [
        entry_of(0),
        quoted("q", {0.0: 0.8, 0.25: 0.4, 2.0: 0.1}, idx=EVERY_SECOND),
        Entry("r", QUOTED, "t", "mnist", 0.25, quoted=Quoted({0.25: 0.4}, 100)),
        Entry("s", QUOTED, "t", "cifar10", 0.12, quoted=Quoted({0.25: 0.4}, 100), idx=EVERY_SECOND),
    ]
    groups = {(group.data, group.noise, group.subset): group for group in build_board(rows).groups}
    most = np.bincount(EVERY_SECOND % 7).max() / 100
    group = groups["cifar10", 0.25, "every 2nd image, 100"]
    assert group.constant() == [most, most, 0.0]  # the log's largest radius is below 2
    assert groups["mnist", 0.25, "100 images, not stated which"].constant() is None
    lone = groups["cifar10", 0.12, "every 2nd image, 100"]
    cap = Gaussian(0.12).radius(lower_confidence_bound(100_000, 100_000, 0.001))
    assert lone.largest_radius == pytest.approx(cap)
    assert lone.constant() == [most, most]
    many = Entry(
        "e", QUOTED, "t", "cifar10", None, quoted=Quoted({0.25: 0.4}, 100), idx=EVERY_SECOND
    )
    over = next(each for each in build_board([*rows, many]).groups if each.noise is None)
    assert over.constant() is None


def test_the_radii_that_logs_were_asked_for_are_shown_beside_quoted_ones():
    asked = {**HEADER, "mode": "grid", "mode_options": {"radii": [0.31]}, "dataset": {}}
    del asked["seed"]
    grid = Entry("grid", MEASURED, "g", "cifar10", 0.25, Run("grid", log_of(1, **asked)))
    (group,) = build_board([grid, quoted("q", {0.25: 0.5}, idx=np.arange(200))]).groups
    assert group.radii == (0.25, 0.31)
