"""``rsmooth list``: the registered names with a line each, and the options of an entry."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

from rsmooth import registry
from rsmooth.cli.signature import choices_of, described
from rsmooth.cli.verbs import VERBS
from rsmooth.config.specs import hints_of
from rsmooth.models.shipped import card_text, model_card, shipped_names
from rsmooth.registry import Registry

KINDS: dict[str, Registry] = {
    name.lower(): entries
    for name, entries in vars(registry).items()
    if isinstance(entries, Registry)
}

# Of entries whose own docstrings leave it to the others of their kind.
COMMON = {
    "root": "the folder that holds the data",
    "download": "fetch the data into that folder, where it is not there",
    "validation": "a count or fraction of the training images that is held out, chosen by seed",
    "seed": "what decides which images are held out",
    "image_size": "height and width of the images",
    "num_classes": "number of classes",
    "in_channels": "channels of the images",
    "depth": "number of convolutions",
    "width": "channels of the first layers",
    "weights": "a file of weights: an .npz of arrays, or what torch.save wrote",
    "normalize": "the first layer: the name of a normalisation, (mean, std), (mean,) or none",
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
    entry = entries.get(name)
    print(f"{name}: {entries.describe(name)}")
    taken = {
        key: each
        for key, each in inspect.signature(entry).parameters.items()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    hints = hints_of(entry)
    # All names that are spoken of, so that the text of one ends where the next begins.
    names = {*taken, *hints, *hints_of(hints.get("return"))} - {"return"}
    texts = described(_documents(entry), names)
    lines = {
        key: f"{_help(key, texts, choices_of(hints.get(key)))} {_default(each)}".strip()
        for key, each in taken.items()
    }
    if lines:
        _print_entries(lines)


def _documents(entry: Any) -> list[str]:
    """The docstrings that may speak of the options of an entry, its own first."""
    classes = entry.__mro__ if inspect.isclass(entry) else (entry,)
    if not inspect.isclass(entry) and inspect.isclass(hints_of(entry).get("return")):
        classes = (entry, *hints_of(entry)["return"].__mro__)  # of what the function makes
    return [inspect.cleandoc(each.__doc__) for each in classes if each.__doc__]


def _help(name: str, texts: dict[str, str], choices: tuple[str, ...]) -> str:
    """What an option does, or where that is said; its choices where the text leaves one out."""
    beside = (other for other, text in texts.items() if re.search(rf"\b{name}\b", text))
    text = texts.get(name) or next((f"see {other}" for other in beside), COMMON.get(name, ""))
    text = text.replace("``", "")
    told = all(f'"{choice}"' in text for choice in choices)
    return text if told else f"{text} {{{','.join(choices)}}}".strip()


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return "(required)"
    shown = parameter.default
    if shown is None or shown == () or repr(shown) == "<factory>":
        return "(default: none)"
    return f"(default: {str(shown).lower() if isinstance(shown, bool) else shown})"
