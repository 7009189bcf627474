"""``rsmooth attack``: accuracies under attack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsmooth.cli import main
from tests.cli.helpers import error_of


def test_attack_prints_and_keeps_an_accuracy_for_each_epsilon(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                "attack",
                str(run),
                "--max",
                "12",
                "--n",
                "100",
                "--num_noise",
                "2",
                "--epsilons",
                "0,2",
                "--attack.steps",
                "2",
                "--progress",
                "false",
            ]
        )
        == 0
    )
    kept = json.loads((run / "attack.json").read_text())
    assert [row["epsilon"] for row in kept["rows"]] == [0.0, 2.0]
    assert kept["rows"][1]["accuracy"] <= kept["rows"][0]["accuracy"]
    assert kept["attack"]["steps"] == 2
    assert len(capsys.readouterr().out.strip().split("\n")) == 3


def test_every_attack_of_another_name_can_be_used(run: Path, tmp_path: Path) -> None:
    few = [
        "--max",
        "2",
        "--n",
        "100",
        "--epsilons",
        "0.5",
        "--num_noise",
        "2",
        "--progress",
        "false",
    ]
    for name, options in (
        ("smoothadv-ddn", ["--attack.steps", "2"]),
        ("foolbox", ["--attack.attack", "L2PGD", "--attack.options.steps", "2"]),
    ):
        out = tmp_path / f"{name}.json"
        assert main(["attack", str(run), *few, "--attack", name, *options, "--out", str(out)]) == 0
        assert json.loads(out.read_text())["attack"]["name"] == name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--epsilons", "-1"], "none below 0"),
        (["--epsilons", ""], "at least one epsilon"),
        (["--batch_size", "-1"], "batch_size of at least 1"),
        (["--n", "2"], "expected n >= 11"),
        (["--out", "no/such/folder/a.json"], "make the folder first"),
        (["--attack.epsilon", "1"], "got epsilon within it"),
        (
            ["--attack", "foolbox", "--attack.attack", "L2PGD", "--attack.options.step", "2"],
            "options of L2PGD",
        ),
    ],
)
def test_an_attack_is_refused_before_any_work(
    run: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in error_of(capsys, "attack", str(run), "--progress", "false", *options)
