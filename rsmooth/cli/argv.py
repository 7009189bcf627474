"""The short forms of the command line, written out as options.

So every one of them is a YAML key as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

# The options without a value. That of --print_config follows a sign, or is left out.
_ALONE = ("--help", "--print_config")


def expand(
    tokens: Sequence[str], positionals: Sequence[str], parts: Iterable[str] = ()
) -> list[str]:
    """The tokens of a command line with their short forms written out.

        expand(["RUN", "--dataset", "digits", "--batch-size", "8"], ["source"], ["dataset"])
        # ["--source", "RUN", "--dataset.name", "digits", "--batch_size", "8"]

    positionals: the options whose names may be left out, anywhere in the command; one with a star
    takes all values that follow. One that is given by its name takes no value without.
    parts: options that name a registered entry. ``--trainer smoothadv --trainer.epochs 3`` sets
    its name and one of its options.

    The name of an option may have hyphens in place of underscores. ``--config FILE`` comes first,
    wherever it stood: the parser takes options in their order, and what is on the command line
    counts more than what is in a file.
    """
    bare, options = _bare_apart([spelt(token) for token in tokens])
    files, rest = _files_apart(options)
    given = {token.partition("=")[0] for token in rest}
    left = [name for name in positionals if f"--{name.removesuffix('*')}" not in given]
    return [*files, *_named(left, bare), *_parted(rest, parts)]


def spelt(token: str) -> str:
    """An option with the underscores of its name; any other token as it is.

    spelt("--batch-size=8")      # "--batch_size=8"
    """
    name, equals, value = token.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else token


def _bare_apart(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The values without an option, and the options with theirs; both in their order."""
    bare: list[str] = []
    options: list[str] = []
    upcoming = list(tokens)
    while upcoming:
        token = upcoming.pop(0)
        if not token.startswith("-"):
            bare.append(token)
            continue
        options.append(token)
        takes_one = token.startswith("--") and "=" not in token and token not in _ALONE
        if takes_one and upcoming and not upcoming[0].startswith("--"):
            options.append(upcoming.pop(0))
    return bare, options


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
