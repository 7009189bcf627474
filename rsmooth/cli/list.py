"""``rsmooth list``: the registered names with a line each, and the options of an entry."""

from __future__ import annotations

import textwrap

from rsmooth import registry
from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import describe_options
from rsmooth.models.shipped import card_text, model_card, shipped_names
from rsmooth.registry import Registry

KINDS: dict[str, Registry] = {
    name.lower(): entries
    for name, entries in vars(registry).items()
    if isinstance(entries, Registry)
}


@VERBS.register("list", positionals=("kind", "name"))
def list_entries(kind: str | None = None, name: str | None = None) -> None:
    """List what can be chosen by name, including plug-ins, or the options of one entry.

    Beside the architectures, models has those that come trained, with a card in place of options.

    Args:
        kind: attacks, trainers, objectives, models, denoisers, datasets or noises; default: all
        name: an entry of that kind, to see its options
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"expected one of {', '.join(KINDS)}, got {kind!r}; name one, or none")
    if name is not None:
        if kind is None:
            raise ValueError(f"expected a kind beside the name {name!r}, got none; add --kind")
        if kind == "models" and name in shipped_names():
            print(card_text(name), end="")
        else:
            _print_options(KINDS[kind], name)
        return
    for each in KINDS if kind is None else [kind]:
        print(f"{each}:")
        _print_entries(_described(each))


def _described(kind: str) -> dict[str, str]:
    """A line for each entry of a kind, the trained models last."""
    lines = {name: KINDS[kind].describe(name) for name in KINDS[kind].names()}
    if kind == "models":
        lines |= {name: f"trained: {model_card(name)['title']}" for name in shipped_names()}
    return lines


def _print_entries(lines: dict[str, str]) -> None:
    width = max(map(len, lines), default=0) + 4
    for name, line in lines.items():
        print(
            textwrap.fill(
                line,
                100,
                initial_indent=f"  {name:<{width - 2}}",
                subsequent_indent=" " * width,
            )
        )


def _print_options(entries: Registry, name: str) -> None:
    rows = describe_options(entries.get(name))
    print(f"{name}: {entries.describe(name)}")
    width = max((len(row[0]) for row in rows), default=0)
    for option, annotation, default in rows:
        print(f"  {option:<{width}}  {annotation}{f' = {default}' if default else '  (required)'}")
