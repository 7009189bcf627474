"""The command line under torchrun: several processes, one run, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from rsmooth.cli import main
from tests.cli.helpers import TINY

ROOT = Path(__file__).parents[2]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "--max-restarts",
    "2",
    "--tee",
    "3",
    "-m",
    "rsmooth",
    "--",
]
# 13 images, batches of 4 in mini-batches of 2: the last step has a single image, which leaves one
# process without any.
TRAIN = [
    "--sigma",
    "0.25",
    "--model",
    "mlp",
    "--model.hidden",
    "[8]",
    "--dataset",
    "npz",
    "--dataset.validation",
    "4",
    "--trainer",
    "smoothadv",
    "--trainer.num_noise",
    "2",
    "--trainer.epochs",
    "12",
    "--trainer.batch_size",
    "4",
    "--trainer.lr",
    "0.02",
    "--trainer.warmup_epochs",
    "4",
    "--trainer.precision",
    "float32",
    "--trainer.checkpoint_seconds",
    "1e-9",
    "--attack",
    "smoothadv-pgd",
    "--attack.epsilon",
    "0.5",
    "--attack.steps",
    "2",
    "--progress",
    "false",
]
SAME = (
    "epoch",
    "train_loss",
    "train_accuracy",
    "validation_accuracy",
    "epsilon",
    "images",
    "steps",
)
CERTIFY = [
    "--max",
    "5",
    "--n",
    "200",
    "--precision",
    "float32",
    "--compile",
    "never",
    "--progress",
    "false",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "few.npz"
    labels = np.arange(17) % 3
    images = (draw.integers(0, 128, (17, 8, 8)) + 60 * labels[:, None, None]).astype(np.uint8)
    np.savez(path, x_train=images, y_train=labels, x_test=images[:5], y_test=labels[:5])
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run folder on the digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", str(folder), "--sigma", "0.25", *TINY]) == 0
    return folder


def rank_of(process: Path) -> str | None:
    """What torchrun told a process of its place, if it did."""
    words = (process / "environ").read_bytes().split(b"\0")
    return next((word[5:].decode() for word in words if word.startswith(b"RANK=")), None)


def kill_rank(rank: str, launcher: int) -> None:
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    [victim] = [child for child in children if rank_of(Path("/proc") / child) == rank]
    os.kill(int(victim), signal.SIGKILL)


def metrics(run: Path) -> list[dict[str, float]]:
    file = run / "metrics.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.skipif(
    not Path("/proc/self/task").exists(), reason="finds the processes to kill in Linux' /proc"
)
def test_two_processes_train_what_one_does_and_survive_the_kill_of_one(
    data: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    options = [*TRAIN, "--dataset.path", str(data)]
    launcher = subprocess.Popen(
        [*TORCHRUN, "train", str(two), *options],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        while not metrics(two) and launcher.poll() is None:
            time.sleep(0.01)
        kill_rank("1", launcher.pid)
        out, err = launcher.communicate(timeout=200)
    finally:
        launcher.kill()
    assert launcher.returncode == 0, err
    assert "exitcode: -9" in err
    # One process speaks and writes. Where it was quicker than the kill, it speaks again.
    speakers = {line.split(":")[0] for line in out.splitlines() if ":trained " in line}
    assert speakers == {"[default0]"}
    assert sorted(os.listdir(two)) == [
        "best.pt",
        "checkpoint.pt",
        "config.yaml",
        "effective.yaml",
        "metrics.jsonl",
        "model.pt",
    ]
    assert main(["train", str(one), *options]) == 0
    for ours, theirs in zip(metrics(one), metrics(two), strict=True):
        assert [ours[name] for name in SAME] == pytest.approx(
            [theirs[name] for name in SAME], abs=1e-5
        )
    weights = [torch.load(run / "model.pt", weights_only=True)["state_dict"] for run in (one, two)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-5) for name in weights[0])


def test_ranks_certify_their_shares_and_the_last_one_speaks(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Certification needs nothing of torchrun but its environment variables."""
    alone, parted = tmp_path / "alone.jsonl", tmp_path / "parted.jsonl"
    assert main(["certify", str(run), *CERTIFY, "--workers", "1", "--out", str(alone)]) == 0
    capsys.readouterr()
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert main(["certify", str(run), *CERTIFY, "--out", str(parted)]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == ""
    assert said[1].startswith("5 images certified (")
    tables = [
        [line.split("\t")[:5] for line in path.with_suffix(".tsv").read_text().splitlines()]
        for path in (alone, parted)
    ]
    assert tables[0] == tables[1]
