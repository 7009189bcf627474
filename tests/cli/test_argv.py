"""Short forms of the command line, written out."""

from __future__ import annotations

from rsmooth.cli.argv import expand


def test_short_forms_are_written_out() -> None:
    assert expand(["runs/a", "--dataset", "digits"], ["source"], ["dataset"]) == [
        "--source",
        "runs/a",
        "--dataset.name",
        "digits",
    ]
    assert expand(["a", "b", "--out", "c"], ["logs*"]) == ["--logs", '["a", "b"]', "--out", "c"]


def test_a_mapping_is_left_as_it_is() -> None:
    written = expand(["--trainer={name: x}", "--attack=pgd"], ["run"], ["trainer", "attack"])
    assert written == ["--trainer={name: x}", "--attack.name=pgd"]


def test_what_is_left_over_is_the_parsers_to_refuse() -> None:
    assert expand(["a", "b"], ["run"]) == ["--run", "a", "b"]


def test_files_come_first_wherever_they_stood() -> None:
    """So that the command line counts more."""
    written = expand(
        ["a", "--sigma", "1", "--config", "x", "--trainer", "b", "--config=y"], ["run"], ["trainer"]
    )
    assert written == [
        *["--config", "x", "--config=y", "--run", "a", "--sigma", "1", "--trainer.name", "b"]
    ]
    assert expand(["a", "--config"], ["run"]) == ["--config", "--run", "a"]
