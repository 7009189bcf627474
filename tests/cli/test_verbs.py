"""The registry of verbs: registered beside the function, found without importing it."""

from __future__ import annotations

from rsmooth.cli.verbs import VERBS, Manner, VerbRegistry, manner


def test_a_verb_notes_how_it_is_called() -> None:
    verbs = VerbRegistry("verb", "rsmooth.tests")

    @verbs.register("join", positionals=("first", "others*"), resumes=True)
    def join() -> None:
        """Join them."""

    assert manner(verbs.get("join")) == Manner(("first", "others*"), True)
    assert manner(print) == Manner()


def test_our_verbs() -> None:
    assert {"train", "certify", "report"} <= set(VERBS.own_names())
    assert [name for name in VERBS.own_names() if manner(VERBS.get(name)).resumes] == [
        "certify",
        "train",
    ]
    assert all(VERBS.describe(name).endswith(".") for name in VERBS.own_names())
