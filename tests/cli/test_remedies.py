"""What a message offers in words of the library becomes an option of the verb."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.cli.remedies import in_command_words, place_of

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
        (["--image-size", "3"], "did you mean --dataset.image_size?"),
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
