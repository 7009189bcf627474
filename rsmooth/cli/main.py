"""Entry point: it imports, parses and runs one verb, whose errors are one line.

No other verb is imported. So ``rsmooth --help`` answers at once: it reads summaries from source.
"""

from __future__ import annotations

import sys
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rsmooth._version import __version__
from rsmooth.cli.argv import expand
from rsmooth.cli.signature import call, options_of
from rsmooth.cli.verbs import VERBS, manner
from rsmooth.plumbing.errors import on_command_line
from rsmooth.plumbing.exits import WRONG, run
from rsmooth.plumbing.paths import user_path
from rsmooth.plumbing.values import plain

ABOUT = "Train, attack and certify randomized-smoothing classifiers."
STORY = """\
a first run (with the extra rsmooth[digits], for its images):
  rsmooth train runs/first --sigma 0.25
  rsmooth certify runs/first --n 1000 --max 50
  rsmooth report runs/first

rsmooth VERB --help shows the options of a verb; each is also a YAML key (--config run.yaml)."""
RESUMES = "stopped; the same command continues from here"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb, and return the exit status: 0, 2 after an error, 130 when interrupted.

        main(["certify", "runs/first", "--n", "1000"])

    An error of any type is one line on stderr; RSMOOTH_DEBUG=1 shows its traceback before it.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name in ("-h", "--help"):
        return run(lambda: print(overview()), "rsmooth")
    if name == "--version":
        return run(lambda: print(f"rsmooth {__version__}"), "rsmooth")
    if name not in VERBS:
        print(f"rsmooth: error: {_unknown(name)}; see rsmooth --help", file=sys.stderr)
        return WRONG
    with on_command_line():
        return run(
            lambda: _run(name, arguments[1:]), f"rsmooth {name}", lambda line: _reworded(line, name)
        )


def parse(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The options of a verb from its command line, by name; SystemExit for wrong ones."""
    from rsmooth.cli.deeper import with_deeper
    from rsmooth.cli.parsing import parts_of, verb_parser

    verb, summary = VERBS.get(name), VERBS.describe(name)
    parser = verb_parser(name, verb, summary)
    written = expand(arguments, manner(verb).positionals, parts_of(verb))

    def parsed(tokens: Sequence[str]) -> dict[str, Any]:
        asked = [token for token in tokens if not token.startswith(("--help", "--print_config"))]
        return dict(verb_parser(name, verb, summary, whole=False).parse_args(asked).as_dict())

    try:
        _check_keys(written)
        written = with_deeper(written, parts_of(verb), parsed)
        options: dict[str, Any] = parser.parse_args(written).as_dict()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"expected YAML in --config, got a file that is no text ({error}); name another"
        ) from None
    options.pop("config", None)
    return {name: plain(value) for name, value in options.items()}


def _reworded(line: str, name: str) -> str:
    """The line of an error with options of the verb in place of keywords of the library."""
    if "=" not in line.rpartition("; ")[2]:
        return line  # and nothing is imported
    from rsmooth.cli.parsing import parts_of
    from rsmooth.cli.remedies import in_command_words

    verb = VERBS.get(name)
    options = [each.name for each in options_of(verb)]
    return in_command_words(line, options, parts_of(verb), manner(verb).instead)


def _check_keys(written: Sequence[str]) -> None:
    """ValueError for a file of --config with a key that repeats; the parser says all else."""
    from yaml import YAMLError

    from rsmooth.plumbing.yaml_text import RepeatedKeyError, load_yaml

    for token, upcoming in zip(written, [*written[1:], ""], strict=False):
        option, _, value = token.partition("=")
        path = user_path(value or upcoming)
        if option != "--config" or not path.is_file():
            continue
        try:
            load_yaml(path.read_text(encoding="utf-8"))
        except RepeatedKeyError as error:
            raise ValueError(f"expected each key once in {path}, got {error.problem}") from None
        except YAMLError:
            continue


def overview() -> str:
    """What ``rsmooth --help`` prints: the verbs, each with its summary."""
    names = VERBS.names()
    width = max(map(len, names)) + 4
    lines = [
        textwrap.fill(
            VERBS.describe(name),
            width=100,
            initial_indent=f"  {name:<{width - 2}}",
            subsequent_indent=" " * width,
        )
        for name in names
    ]
    return "\n".join(["usage: rsmooth VERB [options]", "", ABOUT, "", "verbs:", *lines, "", STORY])


def _run(name: str, arguments: Sequence[str]) -> None:
    from rsmooth.plumbing.processes import terminations_interrupt

    options = parse(name, arguments)
    verb = VERBS.get(name)
    with _warnings_in_one_line(name), terminations_interrupt():
        try:
            call(verb, options)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(RESUMES if manner(verb).resumes else "stopped") from None


@contextmanager
def _warnings_in_one_line(name: str) -> Iterator[None]:
    """Warnings as errors are shown, without the place in our code that gave them."""
    usual = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: (
        f"rsmooth {name}: warning: {' '.join(str(message).split())}\n"
    )
    try:
        yield
    finally:
        warnings.formatwarning = usual


def _unknown(name: str) -> str:
    if not name:
        return f"expected a verb, got none; there are {', '.join(VERBS.names())}"
    if name.startswith("-"):
        return f"expected a verb, got the option {name!r}; options come after the verb"
    return VERBS.unknown(name)
