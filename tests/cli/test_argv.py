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
    assert expand(["a", "--n", "5", "b"], ["run"]) == ["--run", "a", "b", "--n", "5"]


def test_what_is_given_by_its_name_takes_no_other_value() -> None:
    """Else one of the two would count in silence."""
    assert expand(["--kind", "models", "x"], ["kind", "name"]) == [
        "--name",
        "x",
        "--kind",
        "models",
    ]
    assert expand(["a", "--source=b"], ["source"]) == ["a", "--source=b"]
    assert expand(["--logs", "a", "b"], ["logs*"]) == ["b", "--logs", "a"]


def test_positionals_may_stand_anywhere() -> None:
    """Each option takes the one value after it, a negative number too."""
    assert expand(["--n", "5", "a", "--seed", "-1"], ["source"]) == [
        *["--source", "a", "--n", "5", "--seed", "-1"]
    ]
    assert expand(["--out=x", "a", "--unit", "l1", "b"], ["logs*"]) == [
        *["--logs", '["a", "b"]', "--out=x", "--unit", "l1"]
    ]
    assert expand(["--print_config", "a"], ["run"]) == ["--run", "a", "--print_config"]
    assert expand(["--n", "--max", "5"], ["run"]) == ["--n", "--max", "5"]


def test_hyphens_in_the_name_of_an_option_are_underscores() -> None:
    """In its name alone: values, and names of entries, stay as they are."""
    written = expand(
        ["run-1", "--batch-size", "8", "--trainer.batch-size=4", "--attack", "smoothadv-pgd"],
        ["run"],
        ["trainer", "attack"],
    )
    assert written == [
        *["--run", "run-1", "--batch_size", "8", "--trainer.batch_size=4"],
        *["--attack.name", "smoothadv-pgd"],
    ]
    assert expand(["--out=a-b", "--print-config"], []) == ["--out=a-b", "--print_config"]


def test_files_come_first_wherever_they_stood() -> None:
    """So that the command line counts more."""
    written = expand(
        ["a", "--sigma", "1", "--config", "x", "--trainer", "b", "--config=y"], ["run"], ["trainer"]
    )
    assert written == [
        *["--config", "x", "--config=y", "--run", "a", "--sigma", "1", "--trainer.name", "b"]
    ]
    assert expand(["a", "--config"], ["run"]) == ["--config", "--run", "a"]
