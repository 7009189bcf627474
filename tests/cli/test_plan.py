"""``rsmooth plan``: samples, radii and hours, without a model."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch
from scipy import stats

from rsmooth.cli import main
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.cli.helpers import error_of


def test_a_plan_says_what_n_samples_can_certify(capsys: pytest.CaptureFixture[str]) -> None:
    """Unanimous votes give p >= alpha^(1/n), and so the largest radius."""
    assert main(["plan", "--sigma", "0.5", "--n", "1000", "--rate", "2000"]) == 0
    shown = capsys.readouterr().out
    largest = 0.5 * float(stats.norm.ppf(0.001 ** (1 / 1000)))
    assert any(abs(float(number) - largest) < 1e-3 for number in re.findall(r"\d+\.\d+", shown)), (
        shown
    )


def test_a_run_gives_the_rate_and_the_votes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["plan", "--sigma", "0.25", "--n", "1000", "--log", str(run), "--radii", "0.1,0.2"]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert "grid" in shown
    assert main([asked[0], *asked[3:]]) == 0
    assert capsys.readouterr().out == shown, "the noise of the run is the default"


def test_votes_under_other_noise_give_only_the_rate(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a run at sigma 0.25, a plan for another sigma knows the speed and nothing else."""
    asked = ["plan", "--sigma", "0.5", "--n", "1000", "--radius", "0.25", "--log", str(run)]
    assert main(asked) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == [
        "gaussian",
        "radius",
        "mode",
        "fixed",
    ]
    assert "unknown" not in shown
    for option in (["--radii", "0.1"], ["--tolerance", "0.1"]):
        said = error_of(capsys, *asked, *option)
        assert "expected --log of a run under gaussian sigma=0.5 beside --radii" in said
        assert "under gaussian sigma=0.25; name another" in said


def test_a_plan_of_sequential_modes_needs_votes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected --log beside" in error_of(capsys, "plan", "--sigma", "1", "--radii", "0.5")


def test_a_published_table_has_no_votes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "sigma_0.25"
    table.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.457\t1\t0:00:14\n")
    said = error_of(capsys, "plan", "--sigma", "0.25", "--log", str(table))
    assert "expected a record with vote counts" in said


def test_proofs_are_planned_by_their_rows(tmp_path, capsys):
    torch.manual_seed(0)
    base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[16, 12])
    SmoothedClassifier(base, sigma=0, num_classes=10).save(tmp_path / "model.pt")
    (tmp_path / "config.yaml").write_text("dataset: digits\n")
    assert main(["plan", "--proofs", str(tmp_path), "--images", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["method", "rows", "per", "image"]
    assert [line.split()[0] for line in lines[1:5]] == ["ibp", "crown-ibp", "fast-lin", "crown"]
    assert lines[3].split()[1] == str(12 + 10)
    assert lines[4].endswith("on demand")


def test_a_plan_is_of_votes_or_of_proofs(capsys):
    assert "expected either --sigma" in error_of(capsys, "plan")
    for other in ("--sigma=0.25", "--noise=laplace", "--log=runs/b"):
        assert "got both" in error_of(capsys, "plan", "--proofs=runs/a", other)


def test_other_noise_is_planned_too(capsys):
    """Unanimous votes bound p by alpha^(1/n); the radius of Laplace noise is -b log(2 (1 - p))."""
    asked = ["plan", "--noise", "laplace", "--noise.scale", "0.2", "--n", "1000"]
    assert main(asked) == 0
    largest = -0.2 * math.log(2 * (1 - 0.001 ** (1 / 1000)))
    assert f"certifies at most {largest:.4f} in l1" in capsys.readouterr().out
