"""YAML as yaml reads it, but for keys that repeat."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rsmooth.plumbing.yaml_text import RepeatedKeyError, dump_yaml, load_yaml, read_mapping


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


def test_a_file_of_options_holds_a_mapping(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a: 1\n")
    assert read_mapping(path, "mend it") == {"a": 1}
    for text, said in [
        ("", "got an empty file; mend it"),
        ("- a\n", "got list; mend it"),
        ("a: [\n", "expected YAML .* mend it"),
        ("a: 1\na: 2\n", "expected each key once"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=f"(?s){said}"):
            read_mapping(path, "mend it")


@pytest.mark.parametrize(
    "text", ["1e5", "1e-3", "1.5e3", ".5e1", "-2E+4", "007", "null", "yes", "a"]
)
def test_a_text_reads_back_as_a_text_in_any_dialect(text: str) -> None:
    """Readers of YAML 1.2, such as that of --config, take 1e5 for a number."""
    written = dump_yaml({"b": text, "a": [text, 1e-3, 7]})
    assert load_yaml(written) == {"b": text, "a": [text, 1e-3, 7]}
    assert written.startswith("b: '") == (text != "a")


def test_what_is_written_is_ascii() -> None:
    """So that it survives a terminal or a redirection of another encoding."""
    assert dump_yaml({"run": "l\xe4ufe \u03c3"}).isascii()
    assert load_yaml(dump_yaml({"run": "l\xe4ufe \u03c3"})) == {"run": "l\xe4ufe \u03c3"}
