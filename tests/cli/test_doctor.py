"""``rsmooth doctor``: a report in words and as JSON, and one line for what is no such file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from rsmooth.cli import main
from rsmooth.cli.doctor import named
from rsmooth.registry import MODELS
from tests.full_disk import small_files_only

from .helpers import error_of

TABLE = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.25\t1\t1.0\n20\t2\t1\t0.1\t0\t1.0\n"


def test_a_report_in_words_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table, out = tmp_path / "sigma_0.25", tmp_path / "report.json"
    table.write_text(TABLE)
    assert main(["doctor", str(table), "--json", str(out)]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{table}: a certification log\n")
    assert printed.err == ""
    record = json.loads(out.read_text())
    assert record["facts"]["rows"] == 2
    assert record["commands"] == [f"rsmooth report {table}"]


def test_a_report_that_does_not_fit_leaves_the_old_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, out = tmp_path / "sigma_0.25", tmp_path / "report.json"
    table.write_text(TABLE)
    out.write_text("old")
    with small_files_only(10):
        status = main(["doctor", str(table), "--json", str(out)])
    assert status == 2
    assert f"the file is as it was before: {out}" in capsys.readouterr().err
    assert out.read_text() == "old"


def test_images_by_name_and_a_conversion(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), rng.integers(0, 10, 60)
    np.savez("data.npz", x_test=x, y_test=y)
    torch.save([MODELS.create("resnet8")[1].state_dict()], "net.pth")
    command = ["doctor", "net.pth", "--dataset", "npz", "--dataset.path", "data.npz"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "rsmooth doctor net.pth --convert net-plain.pth" in printed
    assert "not above chance" in printed
    assert main([*command, "--convert", "net-plain.pth"]) == 0
    assert torch.load("net-plain.pth", weights_only=True)["arch"] == "resnet8"


def test_constants_of_ones_own_open_a_checkpoint(tmp_path: Path) -> None:
    from rsmooth.cli.models import load_published
    from rsmooth.models.normalize import Normalize

    torch.save(MODELS.create("resnet8")[1].state_dict(), tmp_path / "a.pth")
    g = load_published(
        tmp_path / "a.pth", "0.5,0.4,0.3:0.2,0.2,0.1", 0.25, None, "cpu", (3, 32, 32), "resnet8"
    )
    want = Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    x = torch.rand(2, 3, 4, 4)
    assert torch.equal(g.base[0](x), want(x))  # type: ignore[index,operator]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n"])
def test_one_line_for_anything_else(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "f").write_bytes(content)
    assert str(tmp_path / "f") in error_of(capsys, "doctor", str(tmp_path / "f"))
    error_of(capsys, "doctor", str(tmp_path))
    error_of(capsys, "doctor", str(tmp_path / "absent"))


def test_data_sets_by_their_options() -> None:
    assert named("digits") == "--dataset digits"
    spec = {"name": "npz", "path": "my data.npz"}
    assert named(spec, "train") == "--dataset npz --dataset.path 'my data.npz' --split train"
