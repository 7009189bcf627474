"""Words that users write, and the names that are close to them."""

from __future__ import annotations

from typing import Any

import pytest

from rsmooth.plumbing.names import check_keywords, close_names, unknown_option


def test_names_are_close_whatever_their_case() -> None:
    assert close_names("N", ["alpha", "n", "n0"]) == ["n", "n0"]
    assert close_names("l2pgd", ["L2PGD", "LinfPGD", "l2pgd"], most=2) == ["L2PGD", "l2pgd"]
    assert close_names("epsilo", ["epsilon", "epsilons", "epsilon_iter"], most=1) == ["epsilon"]
    assert close_names("zzz", ["epsilon"]) == []
    assert close_names("a", []) == []


def test_the_message_has_the_close_names_or_all() -> None:
    assert unknown_option("n1", ["n", "alpha"], "f") == (
        "expected an option of f, got 'n1'; did you mean n?"
    )
    assert unknown_option("zzz", ["n", "alpha"], "f").endswith("got 'zzz'; it has n, alpha")
    assert unknown_option("zzz", [], "f").endswith("got 'zzz'; it has none, so leave it out")


def test_only_what_may_be_given_by_name_counts() -> None:
    def function(given: int, /, *rest: int, option: int = 0) -> None: ...

    check_keywords(function, ["option"], "function")
    for word in ("given", "rest"):
        with pytest.raises(TypeError, match=f"option of function, got '{word}'; it has option"):
            check_keywords(function, ["option", word], "function")


@pytest.mark.parametrize("entry", [dict, type, lambda **options: options])
def test_what_takes_any_name_or_tells_none_is_left_to_itself(entry: Any) -> None:
    check_keywords(entry, ["option"], "entry")
