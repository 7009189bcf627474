"""YAML in which no key is written twice, and in which a text stays a text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml


class RepeatedKeyError(yaml.constructor.ConstructorError):
    """A mapping with two equal keys, of which the last would count in silence."""


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses a mapping with two equal keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise RepeatedKeyError(
                    problem=f"{key.value} in line {seen[key.value]} and in line {line}; "
                    "keep one of the two"
                )
            seen[key.value] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


class _Dumper(yaml.SafeDumper):
    """A safe dumper that quotes what any reader of YAML takes for a number, such as 1e5."""


# YAML 1.1, which pyyaml writes, asks for a dot and a sign in such numbers. YAML 1.2, and the reader
# of --config, does not.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9_]+)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def dump_yaml(content: Any) -> str:
    """A text of YAML that reads back as ``content``, in ASCII, which no encoding changes.

    dump_yaml({"run": "1e-3"})      # "run: '1e-3'"
    """
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


def load_yaml(text: str) -> Any:
    """What a text of YAML says; yaml.YAMLError for what is none, and for a key that repeats.

    load_yaml("sigma: 0.25")      # {"sigma": 0.25}
    """
    return yaml.load(text, _Loader)


def read_mapping(path: Path, remedy: str) -> dict[Any, Any]:
    """The mapping that a file of YAML holds; ValueError, with the remedy, where it holds none.

    read_mapping(Path("mine.yaml"), "correct the file")
    """
    try:
        content = load_yaml(path.read_text(encoding="utf-8"))
    except RepeatedKeyError as error:
        raise ValueError(f"expected each key once in {path}, got {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"expected YAML in {path}, got what cannot be read so ({error}); {remedy}"
        ) from None
    if not isinstance(content, dict):
        found = "an empty file" if content is None else type(content).__name__
        raise ValueError(f"expected a mapping of options in {path}, got {found}; {remedy}")
    return content
