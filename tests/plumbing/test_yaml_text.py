"""YAML as yaml reads it, but for keys that repeat."""

from __future__ import annotations

import pytest
import yaml

from rsmooth.plumbing.yaml_text import RepeatedKeyError, load_yaml


@pytest.mark.parametrize(
    "text",
    ["a: 1\nb: {a: 2}\n", "- {a: 1}\n- {a: 2}\n", "", "base: &b {a: 1}\nc: {<<: *b, a: 2}\n"],
)
def test_what_repeats_no_key_is_read_as_usual(text: str) -> None:
    assert load_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "a in line 1 and in line 3; keep one"),
        ("b:\n  a: 1\n  a: 1\n", "a in line 2 and in line 3"),
        ("- {c: 1, 'c': 2}\n", "c in line 1 and in line 1"),
    ],
)
def test_a_key_that_repeats_is_refused_with_its_lines(text: str, said: str) -> None:
    with pytest.raises(RepeatedKeyError, match=said):
        load_yaml(text)


def test_no_code_is_run() -> None:
    with pytest.raises(yaml.YAMLError):
        load_yaml("!!python/object/apply:os.system ['true']")
