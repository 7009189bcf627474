"""``rsmooth attack``: accuracies under attack."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Sized
from pathlib import Path

import pytest

from rsmooth.cli import main
from rsmooth.evaluate import attacked
from rsmooth.evaluate.attacked import UnderAttack
from tests.attacks.outside import QUICK, need, theirs
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
    for name, options, used in (
        ("smoothadv-pgd", ["--attack.step_size", "51/255"], {"step_size": 0.2}),
        ("smoothadv-ddn", ["--attack.steps", "2"], {"steps": 2}),
        (
            "foolbox",
            ["--attack.attack", "L2PGD", "--attack.options.steps", "2"],
            {"attack": "L2PGD", "options": {"steps": 2}},
        ),
    ):
        out = tmp_path / f"{name}.json"
        assert main(["attack", str(run), *few, "--attack", name, *options, "--out", str(out)]) == 0
        kept = json.loads(out.read_text())["attack"]
        assert kept["name"] == name
        assert {key: kept[key] for key in used} == used  # the values, not the texts of the options


def test_table_and_record_name_the_norm_of_epsilon(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--max", "2", "--n", "50", "--num_noise", "2", "--progress", "false"]
    for name, norm in (("L2PGD", "l2"), ("LinfPGD", "linf")):
        out = tmp_path / f"{norm}.json"
        foolbox = ["--attack", "foolbox", "--attack.attack", name, "--attack.options.steps", "1"]
        argv = ["attack", str(run), *few, *foolbox, "--epsilons", "0,0.2", "--out", str(out)]
        assert main(argv) == 0
        assert f"(2 images, foolbox, epsilon in {norm})" in capsys.readouterr().out
        kept = json.loads(out.read_text())
        assert kept["norm"] == norm
        assert [row["norm"] for row in kept["rows"]] == [None, norm]
        assert 0 < kept["rows"][1]["largest_norm"] <= 0.2 + 1e-6


@pytest.mark.parametrize("name", QUICK)
def test_attacks_of_other_libraries_are_recorded_as_used(
    name: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(name)
    out = tmp_path / "attack.json"
    few = ["--max", "3", "--n", "50", "--num_noise", "2", "--progress", "false", "--out", str(out)]
    spec = json.dumps({"name": name, **QUICK[name]})
    with theirs():
        assert main(["attack", str(run), *few, "--attack", spec, "--epsilons", "0,0.3"]) == 0
    assert f"{name}, epsilon in l2" in capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert kept["norm"] == "l2"
    assert kept["attack"]["options"] == QUICK[name]["options"]
    assert kept["attack"]["target"] == "smoothed"
    assert kept["rows"][1]["largest_norm"] <= 0.3 + 1e-6
    # The other two leave images alone that are wrong already, or that they cannot change.
    assert kept["rows"][1]["largest_norm"] > 0 or name in ("autoattack", "advlib")
    used = kept["used"]
    assert re.fullmatch(r"[a-z-]+ [\d.]+", used["library"])
    assert len(json.dumps(used["options"])) > len(json.dumps(QUICK[name]["options"]))


def test_the_row_of_an_attack_that_nothing_led_is_marked(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def blind(g: object, data: Sized, attack: object, **asked: object) -> UnderAttack:
        return UnderAttack(0.5, 0.98, 0.0, len(data), "l2", 0.5, 3 if attack else 0)

    monkeypatch.setattr(attacked, "attack_data", blind)
    quick = ["--max", "4", "--n", "50", "--epsilons", "0,0.5", "--out", str(tmp_path / "a.json")]
    assert main(["attack", str(run), *quick]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith("no gradient for 3 of 4 images")
    assert "gradient" not in lines[1]
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["without_gradient"] for row in rows] == [0, 3]


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
        (["--attack", "{name: pgd, targeted: true}", "--epsilons", "0"], "an untargeted attack"),
        (["--attack", "foolbox", "--attack.attack", "SpatialAttack"], "which keeps no epsilon"),
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
