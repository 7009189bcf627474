"""The parser's refusals, in one line and with the close matches, as every other error of the
command line.
"""

from __future__ import annotations

import difflib
import re
import sys
from typing import NoReturn

from jsonargparse import ArgumentParser

_FIELD = re.compile(r'Parser key "(?P<key>[^"]*)":\s*(?P<what>.*)', re.DOTALL)
_UNION = re.compile(
    r"Subtypes: \[(?P<kinds>.*?)\]\s*Errors:.*Given value: (?P<value>.*)", re.DOTALL
)
_PLAIN = re.compile(r"Expected a <class '(?P<kind>\w+)'>\. Got value: (?P<value>.*)", re.DOTALL)
_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a text"}


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are one line on stderr, exit status 2."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        verb = parser.prog.split()[-1] if parser.prog.split()[-1] != "..." else ""
        prog = "rsmooth" if verb in ("rsmooth", "VERB", "") else f"rsmooth {verb}"
        options = [name for action in parser._actions for name in action.option_strings]
        sys.stderr.write(f"{prog}: error: {explain(message, options)}; see {prog} --help\n")
        sys.exit(2)


def explain(message: str, options: list[str]) -> str:
    """What the parser complains of in one line; unknown options come with the closest of
    ``options``.
    """
    if message.startswith("unrecognized arguments: "):
        return _unknown(message.removeprefix("unrecognized arguments: "), options)
    if message.startswith("the following arguments are required: "):
        names = [name.split(".", 1)[-1] for name in message.split(": ", 1)[1].split(", ")]
        return f"expected {' and '.join(names)}, got none"
    choice = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message)
    if choice:
        known = re.findall(r"[\w-]+", choice[2])
        return f"expected one of {', '.join(known)}, got {choice[1]!r}{_hint(choice[1], known)}"
    field = _FIELD.search(message)
    return f"option --{field['key']}: {_reason(field['what'])}" if field else _one_line(message)


def _unknown(words: str, options: list[str]) -> str:
    first = words.split()[0]
    if not first.startswith("-"):
        return f"expected no further argument, got {words!r}"
    return (
        f"expected a known option, got {first.split('=')[0]!r}{_hint(first.split('=')[0], options)}"
    )


def _hint(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def _reason(what: str) -> str:
    """Why a value was refused: our own words where a type of ours refused it, else the kinds that
    would do.
    """
    union, plain = _UNION.search(what), _PLAIN.search(what)
    ours = re.search(r"expected .*, got .*", what)
    if ours:
        return ours[0]
    if plain:
        return (
            f"expected {_KINDS.get(plain['kind'], plain['kind'])}, got "
            f"{_one_line(plain['value'])!r}"
        )
    if union:
        kinds = [
            kind for kind in re.findall(r"(\w+)(?:'>|,|$)", union["kinds"]) if kind != "NoneType"
        ]
        return (
            f"expected {' or '.join(_KINDS.get(kind, kind) for kind in kinds)}, got "
            f"{_one_line(union['value'])!r}"
        )
    return _one_line(what)


def _one_line(text: str) -> str:
    return " ".join(text.split())
