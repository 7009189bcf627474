"""Differences of configurations: each leaf once, with both sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsmooth.plumbing.difference import ABSENT, Difference, differences

LEAVES = st.none() | st.integers(0, 3) | st.sampled_from(["pgd", "ddn"])
CONFIGURATIONS = st.recursive(
    st.dictionaries(st.sampled_from("abc"), LEAVES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), LEAVES | inner, max_size=3),
    max_leaves=8,
)


def test_every_leaf_is_named_with_both_sides():
    old = {"sigma": 0.25, "noise": {"kind": "grid", "bits": 8}, "seed": None}
    new = {"noise": {"kind": "float", "bits": 8}, "sigma": 0.25, "alpha": 0.1}
    assert differences(old, new) == [
        Difference("noise.kind", "grid", "float"),
        Difference("seed", None, ABSENT),
        Difference("alpha", ABSENT, 0.1),
    ]
    assert repr(ABSENT) == "(nothing)"


def test_a_mapping_against_a_leaf_is_one_difference():
    assert differences({"a": {}}, {}) == [Difference("a", {}, ABSENT)]
    assert differences({"a": {"b": 1}}, {"a": 2}) == [Difference("a", {"b": 1}, 2)]


def test_a_bare_name_is_a_mapping_of_just_the_name_where_that_is_asked():
    bare, opened = {"attack": "pgd"}, {"attack": {"name": "pgd", "steps": 2}}
    assert differences(bare, opened) == [Difference("attack", "pgd", {"name": "pgd", "steps": 2})]
    assert differences(bare, opened, bare_names=True) == [Difference("attack.steps", ABSENT, 2)]
    assert differences(opened, bare, bare_names=True) == [Difference("attack.steps", 2, ABSENT)]
    assert differences(bare, {"attack": {"name": "pgd"}}, bare_names=True) == []


def test_none_may_count_as_absent():
    assert differences({"a": None}, {}, none_is_absent=True) == []
    assert differences({"a": None}, {"a": 1}, none_is_absent=True) == [Difference("a", None, 1)]
    assert differences({}, {"a": {"b": 1}}, none_is_absent=True) == [
        Difference("a", None, {"b": 1})
    ]


@pytest.mark.parametrize("options", [{}, {"bare_names": True}, {"none_is_absent": True}])
@given(old=CONFIGURATIONS, new=CONFIGURATIONS)
def test_nothing_differs_from_itself_and_both_ways_agree(options, old, new):
    assert differences(old, old, **options) == []
    forth, back = differences(old, new, **options), differences(new, old, **options)
    assert {each.key for each in forth} == {each.key for each in back}
    assert all(Difference(each.key, each.new, each.old) in back for each in forth)
    assert options or bool(forth) == (old != new)
