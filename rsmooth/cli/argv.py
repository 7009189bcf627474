"""The short forms of the command line, written out as options.

So every one of them is a YAML key as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence


def expand(
    tokens: Sequence[str], positionals: Sequence[str], parts: Iterable[str] = ()
) -> list[str]:
    """The tokens of a command line with their short forms written out.

        expand(["RUN", "--dataset", "digits"], ["source"], ["dataset"])
        # ["--source", "RUN", "--dataset.name", "digits"]

    positionals: the options whose names may be left out, at the start of the command; one with a
    star takes all values that follow.
    parts: options that name a registered entry. ``--trainer smoothadv --trainer.epochs 3`` sets
    its name and one of its options.

    ``--config FILE`` comes first, wherever it stood: the parser takes options in their order, and
    what is on the command line counts more than what is in a file.
    """
    bare = next((i for i, token in enumerate(tokens) if token.startswith("-")), len(tokens))
    files, rest = _files_apart(tokens[bare:])
    return [*files, *_named(positionals, list(tokens[:bare])), *_parted(rest, parts)]


def _files_apart(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tokens of ``--config``, each with its value, and all others; both in their order."""
    files: list[str] = []
    rest: list[str] = []
    upcoming = iter(tokens)
    for token in upcoming:
        if token == "--config":
            files += [token, *([value] if (value := next(upcoming, None)) is not None else [])]
        else:
            (files if token.startswith("--config=") else rest).append(token)
    return files, rest


def _named(positionals: Sequence[str], values: list[str]) -> list[str]:
    named: list[str] = []
    for name in positionals:
        if not values:
            break
        if name.endswith("*"):
            named += [f"--{name[:-1]}", json.dumps(values)]
            values = []
        else:
            named += [f"--{name}", values.pop(0)]
    return named + values  # the parser refuses what is left over


def _parted(tokens: Sequence[str], parts: Iterable[str]) -> list[str]:
    options = {f"--{name}" for name in parts}
    written: list[str] = []
    for i, token in enumerate(tokens):
        option, equals, value = token.partition("=")
        upcoming = value if equals else (tokens[i + 1] if i + 1 < len(tokens) else "")
        if option in options and upcoming and upcoming[0] not in "{-" and upcoming != "null":
            token = f"{option}.name{equals}{value}"
        written.append(token)
    return written
