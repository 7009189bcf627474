"""What the tests of the command line share: sizes that take seconds, and how an error is read."""

from __future__ import annotations

import pytest

from rsmooth.cli import main

TINY = [
    "--model",
    "small-cnn",
    "--model.width",
    "4",
    "--trainer",
    "smoothadv",
    "--trainer.epochs",
    "1",
    "--trainer.num_noise",
    "2",
    "--trainer.precision",
    "float32",
    "--attack",
    "smoothadv-pgd",
    "--attack.epsilon",
    "64/255",
    "--attack.steps",
    "1",
    "--progress",
    "false",
]
CERTIFY = ["--max", "5", "--n", "100", "--n0", "20", "--workers", "1", "--progress", "false"]


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line that a failing command prints."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err
