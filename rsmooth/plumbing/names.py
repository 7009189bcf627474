"""Names that users write, beside those that there are."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable
from typing import Any


def close_names(word: str, known: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are most like a word, whatever the case of either; the closest first.

    close_names("N", ["n", "n0", "alpha"])     # ["n", "n0"]
    """
    folded: dict[str, list[str]] = {}
    for name in known:
        folded.setdefault(name.casefold(), []).append(name)
    close = difflib.get_close_matches(word.casefold(), folded, n=most, cutoff=0.5)
    return [name for each in close for name in folded[each]][:most]


def unknown_option(word: str, known: Iterable[str], owner: str) -> str:
    """The message for an option that there is not: the close names, or else all of them.

    unknown_option("N", ["n"], "certify")     # "expected an option of certify, got 'N'; did ..."
    """
    names = list(known)
    close = close_names(word, names, most=2)
    if close:
        hint = f"did you mean {' or '.join(close)}?"
    else:
        hint = f"it has {', '.join(names)}" if names else "it has none, so leave it out"
    return f"expected an option of {owner}, got {word!r}; {hint}"


def check_keywords(entry: Any, given: Iterable[str], owner: str) -> None:
    """TypeError, with the close names, for a keyword that a class or a function does not take.

        check_keywords(PGD, {"eps": 0.5}, "attack 'pgd'")

    Python's own error names neither the owner nor what was meant.
    """
    try:
        parameters = inspect.signature(entry).parameters.values()
    except (TypeError, ValueError):  # of a callable in C, which checks by itself
        return
    if any(each.kind is each.VAR_KEYWORD for each in parameters):
        return
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    known = [each.name for each in parameters if each.kind in by_name]
    for name in given:
        if name not in known:
            raise TypeError(unknown_option(name, known, owner))
