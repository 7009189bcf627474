"""Options within options on the command line: all of a mapping, with what a file says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rsmooth.cli.deeper import with_deeper
from rsmooth.cli.main import parse


def _written(tokens: Sequence[str], known: Mapping[str, Any] | None = None) -> list[str]:
    return with_deeper(tokens, ["attack", "model"], lambda rest: known or {})


def test_all_options_of_a_mapping_count() -> None:
    """The parser alone kept the last one, without a word."""
    tokens = ["--attack.options.a=1", "--attack.name=art", "--attack.options.b", "two"]
    assert _written(tokens) == ["--attack.name=art", '--attack.options={"a": 1, "b": "two"}']


def test_they_join_what_is_known_and_count_more() -> None:
    known = {"attack": {"name": "art", "options": {"a": 1, "in": {"b": 2, "c": 3}}}}
    assert _written(["--attack.options.in.b=5"], known) == [
        '--attack.options={"a": 1, "in": {"b": 5, "c": 3}}'
    ]
    assert known["attack"]["options"] == {"a": 1, "in": {"b": 2, "c": 3}}, "it is left as it was"


def test_a_name_takes_options_of_its_own() -> None:
    known = {"model": {"name": "denoised", "denoiser": "dncnn"}}
    assert _written(["--model.denoiser.depth=3"], known) == [
        '--model.denoiser={"name": "dncnn", "depth": 3}'
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64/255", '"64/255"'),
        ("[1, 2]", "[1, 2]"),
        ("null", "null"),
        ("true", "true"),
        ("2020-01-01", '"2020-01-01"'),
        (".nan", '".nan"'),
        ("[", '"["'),
        ("", "null"),
    ],
)
def test_values_are_read_as_yaml(text: str, value: str) -> None:
    assert _written([f"--attack.options.a={text}"]) == [f'--attack.options={{"a": {value}}}']


@pytest.mark.parametrize(
    "tokens",
    [
        ["--attack.steps=3", "--config", "a.b.c"],
        ["--out=a.b.c", "--x.y.z=1"],
        ["--attack..a=1"],
        ["--attack.options.a"],
        ["--attack.options.a", "--attack.steps=3"],
    ],
)
def test_the_rest_is_left_to_the_parser(tokens: list[str]) -> None:
    assert _written(tokens) == tokens


def test_the_command_line_has_them(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("attack: {name: art, attack: DeepFool, options: {max_iter: 5, epsilon: 2}}\n")
    given = ["--attack.options.nb-grads", "3", "--config", str(file), "--attack.options.epsilon=1"]
    found = parse("attack", [*given, "--source=run", "--attack.options.text=ü😀"])["attack"]
    assert found["options"] == {"max_iter": 5, "epsilon": 1, "nb_grads": 3, "text": "ü😀"}


def test_required_options_are_still_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("train", ["--model=denoised", "--model.denoiser.depth=3"])
    assert "expected run, got none" in capsys.readouterr().err


def test_the_configuration_that_is_printed_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["runs/a", "--model=denoised", "--model.denoiser=dncnn", "--model.denoiser.depth=3"]
    with pytest.raises(SystemExit):
        parse("train", [*given, "--print_config"])
    assert "denoiser:\n    name: dncnn\n    depth: 3\n" in capsys.readouterr().out
