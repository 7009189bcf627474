"""``rsmooth attack``: accuracies under attack."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sized
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.evaluate import attacked
from rsmooth.evaluate.attacked import UnderAttack
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


def test_a_stopped_attack_has_printed_the_finished_epsilons(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.json"
    out.write_text("of an earlier attack")

    def stops(g: object, data: Sized, attack: object, **asked: object) -> UnderAttack:
        if attack is not None:
            raise KeyboardInterrupt
        return UnderAttack(0.0, 0.5, 0.25, len(data))

    monkeypatch.setattr(attacked, "attack_data", stops)
    quick = ["--max", "4", "--n", "50", "--epsilons", "0,0.5", "--out", str(out)]
    assert main(["attack", str(run), *quick]) == 130
    captured = capsys.readouterr()
    assert [line.split()[0] for line in captured.out.splitlines()] == ["epsilon", "0"]
    assert captured.err == "rsmooth attack: stopped\n"
    assert out.read_text() == "of an earlier attack"


def test_the_file_is_replaced_whole_or_not_at_all(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.json"
    out.write_text("of an earlier attack")

    def full(*names: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    quick = ["--max", "2", "--n", "50", "--epsilons", "0", "--out", str(out), "--progress", "false"]
    assert "the file is as it was before" in error_of(capsys, "attack", str(run), *quick)
    assert out.read_text() == "of an earlier attack"
