"""What a message offers in words of the library becomes an option of the verb."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.cli.parsing import hint, verb_parser
from rsmooth.cli.remedies import in_command_words, place_of, places_of
from rsmooth.cli.signature import options_of
from rsmooth.cli.verbs import VERBS

OPTIONS = ["sigma", "n", "arithmetic", "trainer", "dataset", "seed", "out"]
PARTS = ["trainer", "dataset"]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            "got n=9; use arithmetic='float', or n=100",
            "got n=9; use --arithmetic float, or --n 100",
        ),
        ('expected x; give sigma="0.25".', "expected x; give --sigma 0.25."),
        ("expected x; clip (clip_grad_norm=1)", "expected x; clip (--trainer.clip_grad_norm 1)"),
        ("expected x; give download=True", "expected x; give --dataset.download true"),
        ("expected x; name it as train=", "expected x; name it as --dataset.train"),
        ("expected x; choose nobody=1", "expected x; choose nobody=1"),
        ("expected x; see g.n=1 and a/n=3", "expected x; see g.n=1 and a/n=3"),
        ("expected x, got n=3", "expected x, got n=3"),
        ("expected x; use --n 3 or --n=3", "expected x; use --n 3 or --n=3"),
    ],
)
def test_keywords_of_the_remedy_become_options(message: str, said: str) -> None:
    assert in_command_words(message, OPTIONS, PARTS) == said


def test_where_a_verb_takes_an_option() -> None:
    assert place_of("seed", OPTIONS, PARTS) == "--seed"
    assert place_of("epochs", OPTIONS, PARTS) == "--trainer.epochs"
    assert place_of("epochs", OPTIONS, []) is None
    assert place_of("nobody", OPTIONS, PARTS) is None


def test_every_part_that_takes_an_option_is_named() -> None:
    parts = ["trainer", "attack"]
    assert places_of("epsilon", parts) == ["--attack.epsilon", "--trainer.epsilon"]
    assert place_of("epsilon", [], parts) == "--trainer.epsilon"
    assert places_of("epochs", parts) == ["--trainer.epochs"]
    assert places_of("nobody", parts) == []


def test_what_a_verb_decides_itself_is_not_offered_within_a_part() -> None:
    instead = {"attack.epsilon": "--epsilons", "attack.targeted": None}
    assert places_of("epsilon", ["attack"], instead) == ["--epsilons"]
    assert place_of("epsilon", [], ["attack"], instead) == "--epsilons"
    assert places_of("targeted", ["attack"], instead) == []
    assert in_command_words("x; use epsilon=1", [], ["attack"], instead) == "x; use --epsilons 1"


def test_dashes_do_not_make_options_alike() -> None:
    assert hint("--eps", ["--json", "--logs"]) == ""
    assert hint("--N", ["--n", "--n0", "--out"]) == "; did you mean --n or --n0?"
    assert hint("smothadv", ["smoothadv"]) == "; did you mean smoothadv?"


@pytest.mark.parametrize("verb", VERBS.own_names())
def test_what_is_offered_is_an_option_of_the_verb(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also for words of others, and for options that a part of the verb would refuse."""
    parser = verb_parser(verb, VERBS.get(verb), "")
    taken = {option.name for option in options_of(VERBS.get(verb))}
    words = (
        "epsilon",
        "targeted",
        "eps",
        "samples",
        "N",
        "lr",
        "arch",
        "init_from",
        "html",
        "path",
    )
    for word in sorted({*words} - taken):
        with pytest.raises(SystemExit):
            parser.parse_args([f"--{word}", "1"])
        said = capsys.readouterr().err
        offered = re.search(r"did you mean (.*)\?;", said)
        for option in offered[1].split(" or ") if offered else []:
            name = option.removeprefix("--")
            assert name in {"config", "print_config"} or name.partition(".")[0] in taken, said
            assert name not in getattr(parser, "instead"), said  # noqa: B009


@pytest.mark.parametrize(("verb", "wanted"), [("attack", "--epsilons"), ("audit", "--factors")])
def test_the_option_in_place_of_a_decided_one_is_accepted(
    verb: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"did you mean {wanted}?" in error_of(capsys, verb, "run", "--epsilon", "0.5")
    assert "run" in error_of(capsys, verb, "no-such-run", wanted, "0.5")


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with suppress(SystemExit):  # of the parser; main returns the status otherwise
        assert main(argv) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--epochs", "3"], "got '--epochs'; did you mean --trainer.epochs?"),
        (["--image-size", "3"], "did you mean --model.image_size or --dataset.image_size?"),
        (["--sgima", "3"], "did you mean --sigma"),
        (["--dataset", "cifar10", "--dataset.root", "nowhere"], "--dataset.download true"),
    ],
)
def test_messages_of_train_name_its_options(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert said in error_of(capsys, "train", str(tmp_path / "run"), "--sigma", "0.25", *argv)


def test_a_sigma_of_steps_is_remarked_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.warns(match=r"sigma=64 is in \[0, 1\] pixel units, .* --sigma 64/255"):
        main(["train", str(tmp_path / "run"), "--sigma", "64", "--trainer.epochs", "0"])


def test_plan_says_how_far_it_can_go(capsys: pytest.CaptureFixture[str]) -> None:
    text = error_of(capsys, "plan", "--radius", "2", "--sigma", "0.25")
    assert "4,294,967,296 samples, the most that can be drawn, certify 1.4" in text
