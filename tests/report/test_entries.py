"""Rows of a leaderboard, their images and data sets."""

import numpy as np
import pytest

from rsmooth.records.log import CertificationLog
from rsmooth.report.entries import (
    MEASURED,
    PUBLISHED,
    QUOTED,
    Entry,
    Labels,
    Quoted,
    checked,
    identified,
    labels_of,
    subset_words,
)
from rsmooth.report.runs import Run


def log_of(seed, idx=None, label=None, **provenance):
    """Random certificates of 200 images whose label is idx % 7."""
    idx = np.arange(200) if idx is None else np.asarray(idx)
    draw = np.random.default_rng(seed)
    label = idx % 7 if label is None else label
    right = draw.random(len(idx)) < 0.7
    predict = np.where(right, label, (label + 1) % 7)
    radius = np.round(draw.random(len(idx)), 3)
    return CertificationLog(
        idx, label, predict, radius, right, np.zeros(len(idx)), provenance=provenance
    )


def entry_of(seed, data="cifar10", origin=PUBLISHED, noise=0.25, **options):
    log = log_of(seed, **options)
    return Entry(f"m{seed}", origin, f"source {seed}", data, noise, Run(f"m{seed}", log))


@pytest.mark.parametrize(
    ("idx", "whole", "words"),
    [
        (np.arange(0, 10_000, 20), 10_000, "every 20th image, 500"),
        (np.arange(10_000), 10_000, "all 10,000 images"),
        (np.arange(10_000), None, "images 0 to 9,999, 10,000"),
        (np.arange(1297, 1797), None, "images 1,297 to 1,796, 500"),
        (np.arange(0, 42_700, 100), 50_000, "every 100th image, 427"),
        (np.array([0, 2, 4]), None, "every 2nd image, 3"),
        (np.array([0, 11, 22]), None, "every 11th image, 3"),
        (np.array([0, 122]), None, "every 122nd image, 2"),
        (np.array([3]), None, "images 3 to 3, 1"),
    ],
)
def test_images_in_words(idx, whole, words):
    assert subset_words(idx, whole) == words


def test_images_without_a_rule_are_told_apart():
    one, other = subset_words(np.array([1, 4, 6])), subset_words(np.array([1, 4, 9]))
    assert one.startswith("3 images (set ")
    assert one != other
    assert subset_words(np.array([5, 15, 35])).startswith("3 of every 10th image (set ")


def test_labels_are_those_of_most_logs():
    wrong = entry_of(0, label=(np.arange(200) + 1) % 7)
    entries = [wrong, entry_of(1), entry_of(2, idx=np.arange(100, 300))]
    known = labels_of(entries)["cifar10"]
    np.testing.assert_array_equal(known.label, np.arange(300) % 7)
    missing = []
    assert checked(entries, missing) == entries[1:]
    assert missing[0].source == "source 0"
    assert "200 of 200 labels differ from those of most logs of cifar10, first at idx 0" in (
        missing[0].reason
    )


def test_a_data_set_is_known_by_its_labels():
    other = entry_of(1, "mnist", label=np.arange(200) % 5)
    named, missing = [entry_of(0), other, entry_of(2, None), entry_of(3, None, idx=[1, 2, 3])], []
    found = identified(named)
    assert [entry.data for entry in found] == ["cifar10", "mnist", "cifar10", None]
    assert found[2].note == "data set known by its labels"
    strange = identified([*named, entry_of(4, None, label=np.arange(200) % 3)])
    assert [entry.data for entry in checked(strange, missing)] == ["cifar10", "mnist", "cifar10"]
    assert [each.reason for each in missing] == [
        "only 3 images: cut off, or too few to compare",
        "the path names no data set, and no other log has these labels",
    ]


def test_a_log_that_is_there_twice_is_one_but_for_digits():
    rounded, missing = entry_of(0), []
    log = log_of(0)
    log.radius[:] = log.radius * 1.002
    again = Entry("again", PUBLISHED, "elsewhere", "cifar10", 0.25, Run("again", log))
    assert checked([rounded, again], missing) == [rounded]
    assert missing[0].reason == "the same certificates as source 0"
    ours = [Entry(name, MEASURED, name, "digits", None, Run(name, log_of(0))) for name in "ab"]
    assert checked(ours, []) == ours  # two models of ours may agree


def test_the_share_of_a_class_is_known_where_all_labels_are():
    labels = Labels(np.array([0, 1, 1, -1]))
    assert labels.share(np.array([0, 1, 2])) == 2 / 3
    assert labels.share(np.array([0, 3])) is None
    assert labels.share(np.array([0, 9])) is None


def test_quoted_rows_say_their_images():
    quoted = Quoted({0.0: 0.5}, images=427)
    row = Entry("m", QUOTED, "s", "imagenet", None, quoted=quoted)
    assert row.subset == "427 images, not stated which"
    assert Entry("m", QUOTED, "s", "imagenet", None, quoted=Quoted({})).subset == (
        "images not stated"
    )
    assert row.key == ("imagenet", None, row.subset, "l2", "probabilistic")
