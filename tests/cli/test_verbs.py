"""The registry of verbs: registered beside the function, found without importing it."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_the_page_names_the_files_that_train_and_certify_leave(run: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
    rows = {
        verb: set(re.findall(r"`([\w.-]+\.\w+)`", left))
        for verb, left in re.findall(r"^\| `(\w+)` \|[^|]*\|(.*)\|$", page, re.MULTILINE)
    }
    left = {path.name for path in run.iterdir() if path.suffix != ".pdf"}
    assert rows["train"] | rows["certify"] <= left
    assert left <= set().union(*rows.values()), "other verbs may have been here"
