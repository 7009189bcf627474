"""The parser of one verb, whose errors are one line with close matches."""

from __future__ import annotations

import argparse
import re
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_dumper
from jsonargparse.typing import register_type

from rsmooth.cli.signature import REQUIRED, Option, options_of
from rsmooth.cli.verbs import manner
from rsmooth.config.specs import Spec
from rsmooth.plumbing import values
from rsmooth.plumbing.names import close_names
from rsmooth.plumbing.yaml_text import dump_yaml

_READERS: list[tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = [
    (values.Switch, bool, values.switch),
    (values.WholeNumber, int, values.whole_number),
    (values.PixelValue, float, values.pixel_value),
    (values.PixelValues, list, values.pixel_values),
    (values.Numbers, list, values.numbers),
    (values.Names, list, values.names),
    (values.OnePath, str, values.one_path),
    (values.Paths, lambda several: list(map(str, several)), values.paths),
]


# Messages of jsonargparse, of its earlier releases as well, and our words for them.
_UNKNOWN = (
    r"[Uu]nrecognized arguments: ((\S+).*)"
    r"|(?:Validation failed: )?(?:Option|Key) '(.*)' is not (?:accepted|expected)"
)
_FRAMES = [
    (r"Validation failed: Key \"(.*?)\" is required.*", r"expected \1, got none"),
    (r"the following arguments are required: (.*)", r"expected \1, got none"),
    (r"argument (--[\w.]+): expected one argument", r"expected a value after \1, got none"),
    (r"Problems parsing config: (.*)", r"expected YAML in --config, got \1"),
    (
        r"Unexpected config: *$",
        "expected a mapping of options in --config, got an empty file; name another",
    ),
    (
        r"Parser key \"config\":.*(?:not exist|not a file)[^'\n]*'(.*?)'",
        r"expected a file of YAML in --config, got \1, which is no file; check the name",
    ),
    (r"Unexpected config: (.*)", r"expected a mapping of options in --config, got \1"),
    (
        r"Parser key \"(.*?)\":.*NestedArg\(key='(.*?)'",
        r"expected --\1 to have no option of its own, got --\1.\2",
    ),
    (r'Parser key "(.*?)":.*?(expected [^\n]*, got [^\n]*)', r"option --\1: \2"),
    (
        r"Parser key \"(.*?)\":.*Expected a <class 'dict'>.*Given value: (.*)",
        r"option --\1: expected a name, or a mapping of a name and options, got \2",
    ),
    (
        r"Parser key \"(.*?)\":.*Expected a <class 'str'>.*(?:Got|Given) value: (.*)",
        r"option --\1: expected a text, got \2",
    ),
    (r'Parser key "(.*?)":(.*)', r"option --\1: \2"),
]


# Options that nobody misspells, or that are for shells alone.
_OF_THE_PARSER = ("-h", "--help", "--print_shtab")


class Formatter(DefaultHelpFormatter):
    """Help that shows a default where there is one, and no names of types."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=28, width=100)  # type: ignore[no-untyped-call]

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if isinstance(default, dict):  # a part of which just the name is preset
            default = default.get("name")
        shown = isinstance(default, (str, int, float, tuple)) and default not in (
            argparse.SUPPRESS,
            (),
        )
        more = " (required)" if action.required else f" (default: {_written(default)})"
        return (action.help or "") + (more if action.required or shown else "")


class Parser(ArgumentParser):
    """An ArgumentParser whose errors are one line on stderr, exit status 2.

    parts: the options that name a registered entry. instead: as of ``Manner``.
    """

    parts: tuple[str, ...] = ()
    instead: Mapping[str, str | None] = MappingProxyType({})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        options = [
            name
            for action in self._actions
            for name in action.option_strings
            if name not in _OF_THE_PARSER
        ]
        sys.stderr.write(
            f"{self.prog}: error: {explain(message, options, self.parts, self.instead)}; see "
            f"{self.prog} --help\n"
        )
        sys.exit(2)


def verb_parser(name: str, verb: Callable[..., Any], summary: str, *, whole: bool = True) -> Parser:
    """The parser of a verb: one option, and YAML key, for each of its options.

    whole: False takes a part of a command line, in which required options may be absent.
    """
    for kind, write, read in _READERS:
        register_type(kind, write, read, type_check=_is_read, fail_already_registered=False)
    set_dumper("yaml", dump_yaml)  # of --print_config, so that --config reads texts as texts
    options = options_of(verb)
    parser = Parser(
        prog=f"rsmooth {name}",
        usage=" ".join(["%(prog)s [options]", *_bare(verb, options)]),
        description=summary,
        formatter_class=Formatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", action="config", help="a YAML file with any of the options below"
    )
    parser.parts, parser.instead = tuple(parts_of(verb)), manner(verb).instead
    for option in options:
        required = whole and option.default is REQUIRED
        default = None if option.default is REQUIRED else option.default
        given: dict[str, Any] = {"required": True} if required else {"default": default}
        text = option.help.replace("%", "%%").replace("``", "")
        if option.choices:
            given["metavar"] = f"{{{','.join(option.choices)}}}"
        parser.add_argument(f"--{option.name}", type=option.kind, help=text, **given)
    return parser


def _bare(verb: Callable[..., Any], options: Sequence[Option]) -> list[str]:
    """How the usage writes each option whose name may be left out: "[SOURCE]", "LOGS..."."""
    required = {option.name for option in options if option.default is REQUIRED}
    shown = []
    for each in manner(verb).positionals:
        name = each.removesuffix("*")
        word = name.upper() + "..." * each.endswith("*")
        shown.append(word if name in required else f"[{word}]")
    return shown


def _written(default: object) -> str:
    """A default as it would be typed."""
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def _is_read(value: object, kind: type) -> bool:
    plain: dict[type, type] = {values.Switch: bool, values.OnePath: Path}
    return isinstance(value, plain.get(kind, kind))


def parts_of(verb: Callable[..., Any]) -> list[str]:
    """The options of a verb that name a registered entry, with options of its own."""
    accepted = set(typing.get_args(Spec))
    return [
        option.name for option in options_of(verb) if accepted <= set(typing.get_args(option.kind))
    ]


def explain(
    message: str,
    options: list[str],
    parts: Sequence[str] = (),
    instead: Mapping[str, str | None] | None = None,
) -> str:
    """A message of jsonargparse as one line, with the closest options for an unknown one.

    The types of ``rsmooth.plumbing.values`` say why they refuse a value. Only the words around that
    are jsonargparse's.
    """
    unknown = re.match(_UNKNOWN, message)
    if unknown:
        name = f"--{unknown[3]}" if unknown[3] else unknown[2].split("=")[0]
        if name.startswith("-"):
            return f"expected a known option, got {name!r}{_place(name, options, parts, instead)}"
        return f"expected no further argument, got {unknown[1]!r}"
    for frame, answer in _FRAMES:
        found = re.search(frame, message, re.DOTALL)
        if found:
            message = found.expand(answer)
            break
    return " ".join(message.split())


def _place(
    name: str, options: list[str], parts: Sequence[str], instead: Mapping[str, str | None] | None
) -> str:
    """The option of a part that was meant, or else the close matches of an unknown one."""
    from rsmooth.cli.remedies import places_of

    places = places_of(name.removeprefix("--").replace("-", "_"), parts, instead)
    return f"; did you mean {' or '.join(places)}?" if places else hint(name, options)


def hint(word: str, known: list[str]) -> str:
    """The close matches of a misspelt word, or option with its dashes, as the end of a message."""
    names = {name.lstrip("-"): name for name in known}
    close = [names[each] for each in close_names(word.lstrip("-"), names, most=2)]
    return f"; did you mean {' or '.join(close)}?" if close else ""
