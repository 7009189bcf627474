"""The parser: options and YAML files, help, lists of entries, and what a stranger mistypes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rsmooth.cli import main
from rsmooth.cli.main import parse
from rsmooth.cli.parsing import verb_parser
from rsmooth.cli.signature import options_of
from rsmooth.cli.verbs import VERBS
from tests.cli.helpers import TINY, error_of


def test_a_yaml_file_says_the_same_as_options(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["train", str(tmp_path / "run"), "--sigma", "1/4", *TINY]
    with pytest.raises(SystemExit):
        main([*argv, "--print_config"])
    printed = capsys.readouterr().out
    (tmp_path / "run.yaml").write_text(printed)
    with pytest.raises(SystemExit):
        main(["train", "--config", str(tmp_path / "run.yaml"), "--print_config"])
    assert capsys.readouterr().out == printed
    assert yaml.safe_load(printed)["trainer"] == {
        "name": "smoothadv",
        "epochs": 1,
        "num_noise": 2,
        "precision": "float32",
    }


def test_texts_that_look_like_numbers_survive_a_yaml_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Runs that are named after a learning rate, say."""
    argv = ["report", "1e-3", "l\xe4ufe", "--names", "1e-3,007", "--title", "1e5", "--out", "2e5"]
    with pytest.raises(SystemExit):
        main([*argv, "--print_config"])
    (tmp_path / "report.yaml").write_text(capsys.readouterr().out)
    assert parse("report", ["--config", str(tmp_path / "report.yaml")]) == parse("report", argv[1:])


def test_an_option_overrides_one_key_of_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "run: a\nsigma: 64/255\ntrainer: {name: smoothadv, epochs: 3}\n"
    )
    parsed = parse("train", ["--config", str(tmp_path / "run.yaml"), "--trainer.epochs", "5"])
    assert parsed["trainer"] == {"name": "smoothadv", "epochs": 5}
    assert parsed["sigma"] == 64 / 255


def test_the_command_line_overrides_the_yaml_file_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "run: a\nsigma: 0.25\ntrainer: {name: smoothadv, epochs: 3, num_noise: 2}\n"
    )
    line = ["b", "--sigma", "0.5", "--trainer.epochs", "5"]
    file = ["--config", str(tmp_path / "run.yaml")]
    for argv in ([*line, *file], ["b", *file, *line[1:]], [*line, f"--config={file[1]}"]):
        parsed = parse("train", argv)
        assert (parsed["run"], parsed["sigma"]) == (Path("b"), 0.5)
        assert parsed["trainer"] == {"name": "smoothadv", "epochs": 5, "num_noise": 2}
    assert parse("train", file)["run"] == Path("a")


@pytest.mark.parametrize("verb", VERBS.names())
def test_every_option_of_every_verb_is_described(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: rsmooth {verb} ")
    assert max(map(len, shown.splitlines())) <= 100
    options = options_of(VERBS.get(verb))
    assert [option.name for option in options if len(option.help) < 5] == []
    assert all(f"--{option.name} " in shown for option in options)


@pytest.mark.parametrize(
    ("verb", "bare"),
    [
        ("train", " RUN"),
        ("certify", " [SOURCE]"),
        ("predict", " [SOURCE] [IMAGES...]"),
        ("report", " LOGS..."),
        ("plan", ""),
    ],
)
def test_the_usage_has_brackets_around_what_may_be_left_out(verb: str, bare: str) -> None:
    usage = verb_parser(verb, VERBS.get(verb), "").format_usage()
    assert usage == f"usage: rsmooth {verb} [options]{bare}\n"


def test_the_parser_refuses_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "x", "--sigma", "a/b"])
    assert "expected a number such as 0.25 or 64/255, got 'a/b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["train", "--sigma", "1"], "expected run, got none"),
        (["train", "x", "--sigma"], "expected a value after --sigma, got none"),
        (["train", "x", "--sig", "1"], "did you mean --sigma"),
        (
            ["train", "x", "--sigma.x", "1"],
            "expected --sigma to have no option of its own",
        ),
        (["train", "x", "--sigma", "1", "--trainr", "gaussian"], "did you mean --trainer"),
        (
            ["train", "x", "--sigma", "1", "--progress", "maybe"],
            "--progress: expected true or false, got 'maybe'",
        ),
        (
            ["train", "x", "--sigma", "1", "--seed", "1.5"],
            "option --seed: expected a whole number, got '1.5'",
        ),
        (["train", "x", "y", "--sigma", "1"], "expected no further argument, got 'y'"),
        (["attack", "x", "--source", "y"], "expected no further argument, got 'x'"),
        (["export", "x", "--out", ""], "option --out: expected a path, got an empty text; write ."),
        (
            ["train", "--config", "no.yaml"],
            "no.yaml, which is no file; check the name",
        ),
        (
            ["train", "--config", "/"],
            "expected a file of YAML in --config, got /, which is no file",
        ),
        (["report", ""], "option --logs: expected a path, got an empty text; write ."),
        (
            ["report", "x", "--radii", "0.1,y"],
            "option --radii: expected a number such as 0.25 or 64/255, got 'y'",
        ),
        (
            ["certify", "x", "--images", "1,y"],
            "option --images: expected whole numbers such as 3,5,8, got '1,y'",
        ),
    ],
)
def test_the_parser_says_it_in_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(argv)
    text = capsys.readouterr().err
    assert said in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sigma: 1\nsgma: 2\n", "expected a known option, got '--sgma'; did you mean --sigma"),
        ("sigma: x\n", "option --sigma: expected a number such as 0.25 or 64/255, got 'x'"),
        ("sigma: [1\n", "expected YAML in --config"),
        ("- a\n", "expected a mapping of options in --config, got"),
        ("", "expected a mapping of options in --config, got an empty file; name another"),
        ("run: 5\n", "option --run: expected a path, got 5; put a name like a number in quotes"),
        ("run: ''\n", "option --run: expected a path, got an empty text; write . for this folder"),
        ("init_from: [1]\n", "option --init_from: expected a path, got [1]"),
        ("device: 3\n", "option --device: expected a text, got 3"),
        ("preset: [a]\n", "option --preset: expected a text, got ['a']"),
        ("trainer: [1]\n", "option --trainer: expected a name, or a mapping of a name and options"),
        (
            "noise: 3\n",
            "option --noise: expected a name, or a mapping of a name and options, got 3",
        ),
    ],
)
def test_a_yaml_file_that_is_wrong(
    content: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_text(content)
    with pytest.raises(SystemExit, match="2"):
        main(["train", "x", "--config", str(tmp_path / "run.yaml")])
    text = capsys.readouterr().err
    assert said in text
    assert text.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "expected YAML in --config, got a file that is no text"),
        (b"sigma: 1\nseed: 2\nsigma: 2\n", "got sigma in line 1 and in line 3"),
        (b"sigma: 1\nseed: null\n", "expected a value of seed, got null"),
        (b"sigma: 1\ndataset: null\n", "expected a value of dataset, got null"),
    ],
)
def test_a_yaml_file_that_the_verb_refuses(
    content: bytes, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    options = ["--config", str(tmp_path / "run.yaml")]
    assert said in error_of(capsys, "train", str(tmp_path / "run"), *options)


def test_a_traceback_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RSMOOTH_DEBUG", "1")
    assert main(["certify", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("Traceback")
