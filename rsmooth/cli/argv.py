"""The short forms of the command line, written out as options, so that every one of them is a YAML
key as well.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

POSITIONALS: dict[str, tuple[str, ...]] = {
    "train": ("run",),
    "attack": ("source",),
    "certify": ("source",),
    "audit": ("source",),
    "predict": ("source", "images*"),
    "report": ("logs*",),
    "restate": ("source",),
    "plan": (),
    "list": ("kind", "name"),
}
"""Options that may stand bare behind the verb, in this order; a star takes all that follow."""

NAMED_PARTS = ("dataset", "unlabelled", "model", "trainer", "attack")
"""Options that name a registered entry; ``--trainer smoothadv --trainer.epochs 3`` sets name and
options apart.
"""


def expand(argv: Sequence[str]) -> list[str]:
    """``certify RUN --dataset digits`` -> ``certify --source RUN --dataset.name digits``."""
    if not argv or argv[0] not in POSITIONALS:
        return list(argv)
    verb, rest = argv[0], list(argv[1:])
    bare = next((i for i, token in enumerate(rest) if token.startswith("-")), len(rest))
    return [verb, *_name_positionals(verb, rest[:bare]), *_name_parts(rest[bare:])]


def _name_positionals(verb: str, values: list[str]) -> list[str]:
    named: list[str] = []
    for name in POSITIONALS[verb]:
        if not values:
            break
        if name.endswith("*"):
            named += [f"--{name[:-1]}", json.dumps(values)]
            values = []
        else:
            named += [f"--{name}", values.pop(0)]
    return named + values  # what is left over is the parser's to refuse


def _name_parts(tokens: list[str]) -> list[str]:
    parts = {f"--{name}" for name in NAMED_PARTS}
    written: list[str] = []
    for i, token in enumerate(tokens):
        option, equals, value = token.partition("=")
        upcoming = value if equals else (tokens[i + 1] if i + 1 < len(tokens) else "")
        if option in parts and upcoming and upcoming[0] not in "{-" and upcoming != "null":
            token = f"{option}.name{equals}{value}"
        written.append(token)
    return written
