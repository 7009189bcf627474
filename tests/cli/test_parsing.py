"""The parser: options and YAML files, help, lists of entries, and what a stranger mistypes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rsmooth.cli import main
from rsmooth.cli.argv import expand
from rsmooth.cli.main import VERBS, build_parser
from tests.cli.helpers import TINY


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


def test_an_option_overrides_one_key_of_the_yaml_file(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        "run: a\nsigma: 64/255\ntrainer: {name: smoothadv, epochs: 3}\n"
    )
    parsed = build_parser().parse_args(
        ["train", "--config", str(tmp_path / "run.yaml"), "--trainer.epochs", "5"]
    )
    assert parsed.train.trainer == {"name": "smoothadv", "epochs": 5}
    assert parsed.train.sigma == 64 / 255


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_option_of_every_verb_is_described(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert capsys.readouterr().out
    action = build_parser()._subcommands_action._name_parser_map[verb]
    undescribed = [
        a.dest
        for a in action._actions
        if not a.help and a.dest not in ("help", "config", "print_config")
    ]
    assert undescribed == []


def test_short_forms_are_written_out() -> None:
    assert expand(["certify", "runs/a", "--dataset", "digits"]) == [
        "certify",
        "--source",
        "runs/a",
        "--dataset.name",
        "digits",
    ]
    assert expand(["report", "a", "b", "--out", "c"]) == [
        "report",
        "--logs",
        '["a", "b"]',
        "--out",
        "c",
    ]
    assert expand(["train", "--trainer={name: x}", "--attack=pgd"]) == [
        "train",
        "--trainer={name: x}",
        "--attack.name=pgd",
    ]


def test_the_parser_is_built_without_torch() -> None:
    """Help must answer at once; what the package's own __init__ loads is not the command line's
    doing.
    """
    code = (
        "import sys, types; package = types.ModuleType('rsmooth'); package.__path__ = "
        "[sys.argv[1]]; "
        "sys.modules['rsmooth'] = package; from rsmooth.cli.main import build_parser; "
        "build_parser(); "
        "print([m for m in ('torch', 'scipy', 'foolbox', 'matplotlib') if m in sys.modules])"
    )
    package = Path(__file__).parents[2] / "rsmooth"
    done = subprocess.run(
        [sys.executable, "-c", code, str(package)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["attacks", "trainers", "objectives", "models", "datasets"])
def test_list_names_every_entry_with_a_line_of_help(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from rsmooth import registry

    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.strip().split("\n")[1:]
    assert [line.split()[0] for line in lines] == getattr(registry, kind.upper()).names()
    assert all(len(line.split()) > 3 for line in lines)


def test_list_shows_the_options_of_an_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "trainers", "smoothadv"]) == 0
    assert "num_noise" in capsys.readouterr().out


def test_the_parser_refuses_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["train", "x", "--sigma", "a/b"])
    assert "expected a number such as 0.25 or 64/255, got 'a/b'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["tran", "x"], "did you mean train"),
        (["train", "x"], "expected sigma, got none"),
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


def test_a_traceback_on_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSMOOTH_DEBUG", "1")
    with pytest.raises(ValueError, match="expected a data set"):
        main(["certify", str(tmp_path)])
