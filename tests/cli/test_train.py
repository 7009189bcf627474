"""``rsmooth train``: the run folder, what it continues from, and what is refused at the start."""

from __future__ import annotations

import json
import shlex
import sys
import warnings
from pathlib import Path

import pytest
import yaml

from rsmooth.cli import main
from rsmooth.cli.train import _summarise
from rsmooth.smoothed import SmoothedClassifier
from tests.cli.helpers import CERTIFY, TINY, error_of


def test_training_leaves_a_complete_run_folder(run: Path) -> None:
    assert {"config.yaml", "metrics.jsonl", "checkpoint.pt", "model.pt", "best.pt"} <= {
        p.name for p in run.iterdir()
    }
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["sigma"] == 0.25
    assert config["attack"] == {"name": "smoothadv-pgd", "epsilon": "64/255", "steps": 1}
    effective = yaml.safe_load((run / "effective.yaml").read_text(encoding="utf-8"))
    assert effective["trainer"]["attack"]["epsilon"] == 64 / 255
    assert effective["model"]["options"]["width"] == 4
    assert effective["dataset"] == {"name": "digits", "validation": 0.1, "seed": 0}


def test_the_trainer_follows_from_the_attack_and_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = TINY.index("--trainer")
    unnamed = [*TINY[:at], *TINY[at + 2 :]]
    assert main(["train", "--sigma", "1/4", *unnamed, str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("trainer smoothadv, since the attack smoothadv-pgd is on the smoothed")
    for name in ("config.yaml", "effective.yaml"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()
    assert main(["train", str(run), "--sigma", "1/4", *TINY]) == 0
    assert "since" not in capsys.readouterr().out


def test_training_goes_on_from_a_model_and_from_a_teacher(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    brief = ["--trainer.epochs", "1", "--trainer.precision", "float32", "--progress", "false"]
    tuned, taught = tmp_path / "tuned", tmp_path / "taught"
    assert (
        main(
            [
                "train",
                str(tuned),
                "--sigma",
                "0.5",
                "--init_from",
                str(run),
                *brief,
                "--trainer.lr",
                "1e-9",
            ]
        )
        == 0
    )
    before, after = (torch.load(path / "model.pt", weights_only=True) for path in (run, tuned))
    names = list(before["state_dict"])
    assert torch.allclose(before["state_dict"][names[0]], after["state_dict"][names[0]], atol=1e-6)
    assert not torch.allclose(
        before["state_dict"][names[-1]], after["state_dict"][names[-1]], atol=1e-3
    )
    assert after["sigma"] == 0.5
    teacher = [
        "--unlabelled",
        "digits",
        "--unlabelled.validation",
        "0.5",
        "--teacher",
        str(run),
        "--soft_labels",
        "true",
        "--confidence",
        "0.1",
        "--unlabelled_weight",
        "0.5",
    ]
    capsys.readouterr()
    assert main(["train", str(taught), "--sigma", "0.25", *brief, *teacher]) == 0
    said = capsys.readouterr().out
    assert f"trained {taught}: accuracy under noise" in said
    assert "; computed in float32; see" in said
    epoch = json.loads((taught / "metrics.jsonl").read_text())
    alone = json.loads((tuned / "metrics.jsonl").read_text())
    assert (
        epoch["steps"] == 2 * alone["steps"]
    )  # every labelled batch is followed by one of the teacher's
    assert main(["certify", str(taught), *CERTIFY]) == 0
    teacher[-1] = "0.25"
    assert "unlabelled_weight = 0.25 where it has 0.5" in error_of(
        capsys, "train", str(taught), "--sigma", "0.25", *brief, *teacher
    )


def test_the_configuration_of_a_run_is_a_file_of_options(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the doctor says. A wrong device is found when all else is."""
    options = ["--config", str(run / "config.yaml"), "--device", "none"]
    said = error_of(capsys, "train", str(tmp_path / "new"), *options)
    assert "expected a device, got 'none'" in said


def test_a_kept_head_makes_it_a_further_phase(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    brief = ["--trainer.epochs", "1", "--trainer.lr", "1e-9", "--progress", "false"]
    phase = ["--sigma", "0.25", "--keep_head", "true", *brief]
    second = tmp_path / "second"
    assert main(["train", str(second), "--init_from", str(run), *phase]) == 0
    before, after = (
        torch.load(path / "model.pt", weights_only=True)["state_dict"] for path in (run, second)
    )
    head = list(before)[-1]
    assert torch.allclose(before[head], after[head], atol=1e-6)
    assert yaml.safe_load((second / "config.yaml").read_text())["keep_head"] is True
    error = error_of(capsys, "train", str(tmp_path / "none"), *phase)
    assert "expected init_from beside keep_head, got a new model" in error


def test_noise_of_another_distribution(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "uniform"
    few = ["--model", "small-cnn", "--model.width", "4", "--trainer.epochs", "1"]
    few += ["--progress", "false"]
    asked = ["train", str(folder), "--noise", "uniform", "--noise.half_width", "1/2", *few]
    assert main(asked) == 0
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["noise"] == {"name": "uniform", "half_width": 0.5}
    assert "sigma" not in config
    assert main(asked) == 0  # goes on, which is to say ends at once
    assert main(["certify", str(folder), *CERTIFY]) == 0
    assert "sigma = 0.5 where it has None" in error_of(
        capsys, "train", str(folder), "--sigma", "0.5", *few
    )


def test_gaussian_noise_may_be_said_either_way(run: Path) -> None:
    """As sigma in config.yaml, so that folders of earlier versions go on."""
    assert main(["train", str(run), "--noise", "gaussian", "--noise.sigma", "1/4", *TINY]) == 0
    assert "noise" not in yaml.safe_load((run / "config.yaml").read_text())


def test_another_configuration_of_a_run_folder(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = error_of(capsys, "train", str(run), "--sigma", "0.5", *TINY)
    assert "sigma = 0.5 where it has 0.25" in text


def test_unknown_names_and_options_come_with_the_close_matches(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = str(tmp_path / "new")
    assert "'smoothadv'" in error_of(capsys, "train", new, "--sigma", "1", "--trainer", "smothadv")
    text = error_of(
        capsys, "train", new, "--sigma", "1", "--trainer", "gaussian", "--trainer.epoch", "3"
    )
    assert "did you mean epochs" in text
    assert not (
        tmp_path / "new"
    ).exists()  # a mistake leaves no folder that refuses the corrected command


def test_wrong_types_name_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = error_of(
        capsys,
        "train",
        str(tmp_path / "new"),
        "--sigma",
        "1",
        "--model",
        "small-cnn",
        "--model.width",
        "many",
    )
    assert "option width: expected int, got 'many'" in text
    text = error_of(
        capsys,
        "train",
        str(tmp_path / "new"),
        "--sigma",
        "1",
        "--model",
        "mlp",
        "--model.hidden",
        "64",
    )
    assert "option hidden: expected a list such as [128, 64], got 64" in text


BOUNDS = [
    *("--trainer.epsilon", "4/255", "--trainer.epochs", "2", "--trainer.warmup_epochs", "1"),
    *("--trainer.warmup_from", "0", "--trainer.batch_size", "256", "--trainer.augment", "false"),
]


def test_a_trainer_of_bounds_trains_without_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word on sigma; another trainer does so where sigma is 0."""
    for name, options in (("ibp", BOUNDS), ("gaussian", ["--sigma", "0", *BOUNDS[2:4]])):
        run = tmp_path / name
        small = ["--model", "small-cnn", "--model.width", "2", "--progress", "false"]
        assert main(["train", str(run), "--trainer", name, *options, *small]) == 0
        said = capsys.readouterr().out
        assert "accuracy under noise" not in said
        assert said.endswith(f"see rsmooth certify {run} --norm linf --epsilons 2/255\n")
        assert ("certified" in said.split(";")[0]) == (name == "ibp")
        g = SmoothedClassifier.load(run / "model.pt")
        assert g.sigma == 0
        config = yaml.safe_load((run / "config.yaml").read_text())
        assert config["sigma"] == 0.0


def test_a_later_stage_learns_what_the_earlier_ones_leave(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--model", "small-cnn", "--model.width", "2", "--progress", "false"]
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["train", str(first), "--trainer", "ibp", *BOUNDS, *small]) == 0
    stage = ["--trainer", "ibp", *BOUNDS, *small, "--earlier", f"[{first}]"]
    assert main(["train", str(second), *stage]) == 0
    images = [
        json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["images"]
        for run in (first, second)
    ]
    assert 0 < images[1] <= images[0]
    assert yaml.safe_load((second / "config.yaml").read_text())["earlier"] == [str(first)]
    text = error_of(
        capsys, "train", str(tmp_path / "new"), "--sigma", "1", "--earlier", f"[{first}]", *small
    )
    assert "expected earlier stages with a trainer that learns bounds" in text


def test_images_without_labels_may_be_those_held_out(run: Path, tmp_path: Path) -> None:
    """None of them is one of the labelled ones."""
    taught = tmp_path / "taught"
    few = ["--dataset", "digits", "--dataset.validation", "0.9"]
    options = [
        *("--sigma", "0.5", *few, "--model", "small-cnn", "--model.width", "2"),
        *("--unlabelled", "digits", "--unlabelled.validation", "0.9"),
        *("--unlabelled_split", "validation", "--teacher", str(run)),
        *("--trainer.epochs", "1", "--trainer.unlabelled_share", "0.5", "--progress", "false"),
    ]
    assert main(["train", str(taught), *options]) == 0
    row = json.loads((taught / "metrics.jsonl").read_text().splitlines()[0])
    assert row["images"] == 2 * 130


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sigma", "-1"], "expected a finite sigma"),
        (["--noise", "uniform", "--noise.half_width", "0"], "expected a finite half_width > 0"),
        (
            ["--sigma", "1", "--trainer", "ibp", *BOUNDS],
            "expected a classifier without noise for IntervalTraining",
        ),
        (["--sigma", "1", "--trainer.epocs", "3"], "did you mean epochs"),  # of the default trainer
        (
            ["--sigma", "1", "--trainer", "smoothadv", "--attack", "pgd"],
            "'pgd' to be given epsilon and steps",
        ),
        (
            ["--sigma", "1", "--trainer", "smoothadv", "--trainer.attack", "pgd"],
            "expected an attack such as",
        ),
        (
            ["--sigma", "1", "--model", "small-cnn", "--model.in_channels", "3"],
            "expected a model for images (1, 8, 8)",
        ),
        (
            ["--sigma", "1", "--model", "small-cnn", "--model.num_classes", "5"],
            "expected logits (1, 10)",
        ),
        (
            ["--sigma", "1", "--soft_labels", "true"],
            "expected unlabelled images and a teacher together",
        ),
    ],
)
def test_training_that_cannot_be_leaves_no_folder(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in error_of(capsys, "train", str(tmp_path / "new"), *options)
    assert not (tmp_path / "new").exists()


def test_a_folder_of_other_things_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.pt").write_text("mine")
    assert "nothing there is overwritten" in error_of(
        capsys, "train", str(tmp_path), "--sigma", "1", *TINY
    )
    assert "which is a file" in error_of(
        capsys, "train", str(tmp_path / "model.pt"), "--sigma", "1", *TINY
    )
    assert (tmp_path / "model.pt").read_text() == "mine"


def test_two_processes_do_not_train_into_one_folder(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rsmooth.plumbing.locking import FileLock
    from rsmooth.training import setup as engine

    monkeypatch.setattr(engine, "PATIENCE_SECONDS", 0.0)
    with FileLock(run / "checkpoint.pt"):
        assert "only writer" in error_of(capsys, "train", str(run), "--sigma", "1/4", *TINY)


def test_tensorboard_is_missed_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    options = ["--sigma", "1", *TINY, "--trainer.tensorboard", "true"]
    assert "install rsmooth[tensorboard]" in error_of(
        capsys, "train", str(tmp_path / "new"), *options
    )
    assert not (tmp_path / "new").exists()


def test_risky_settings_are_remarked_on_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        # pytest records warnings instead of printing them; this is what Python does.
        monkeypatch.setattr(
            warnings,
            "showwarning",
            lambda *told: sys.stderr.write(warnings.formatwarning(*told[:4])),
        )
        assert (
            main(
                [
                    "train",
                    str(tmp_path / "run"),
                    "--sigma",
                    "1",
                    "--model",
                    "mlp",
                    "--trainer.num_noise",
                    "16",
                    "--trainer.epochs",
                    "1",
                    "--progress",
                    "false",
                ]
            )
            == 0
        )
    shown = capsys.readouterr().err
    assert shown.startswith("rsmooth train: warning: num_noise=16 makes as many optimiser steps ")
    assert shown.count("\n") == 1


def test_a_method_without_answers_is_summed_up_without_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such as a denoiser, which never asks the classifier."""
    _summarise(tmp_path, {"train_loss": 0.5}, "training", noisy=True)
    assert capsys.readouterr().out == f"trained {tmp_path}: see rsmooth certify {tmp_path}\n"


def test_what_was_not_reached_is_said_before_the_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"remark": "epsilon ended at 0.15 of 0.5: warmup_epochs=10 is above epochs=3"}
    _summarise(tmp_path, row, "training", noisy=True)
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"remark on {tmp_path}: {row['remark']}"
    assert last == f"trained {tmp_path}: see rsmooth certify {tmp_path}"


def test_the_command_that_goes_on_can_be_copied(capsys: pytest.CaptureFixture[str]) -> None:
    _summarise(Path("it's a run"), {}, "training", noisy=True)
    command = capsys.readouterr().out.partition("see ")[2]
    assert shlex.split(command) == ["rsmooth", "certify", "it's a run"]


@pytest.mark.parametrize(("device", "asked"), [("cpu", 1), ("meta", 0)])
def test_training_on_a_cpu_keeps_freed_memory(
    device: str, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for before any work, of which there is none here: the data set does not exist."""
    calls: list[bool] = []
    monkeypatch.setattr(
        "rsmooth.cli.train.keep_freed_memory", lambda: (calls.append(True), True)[1]
    )
    given = ["train", str(tmp_path / "run"), "--sigma", "0.25", "--device", device]
    assert main([*given, "--dataset", str(tmp_path / "none.npz")]) == 2
    assert len(calls) == asked


def test_a_mistake_that_only_the_training_finds_leaves_no_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    same = ("train", str(run), "--sigma", "0.25", "--trainer.epochs", "1", "--progress", "false")
    small = ("--model", "small-cnn", "--model.width", "4")
    assert "soft_labels" in error_of(capsys, *same, *small, "--trainer", "cat-rs")
    assert not run.exists()
    assert main([*same, *small, "--trainer", "gaussian"]) == 0
