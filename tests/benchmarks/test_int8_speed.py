"""Speed and answers in 8-bit integers, in a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rsmooth.benchmarks.int8_speed import main
from tests.models.int8.nets import needs_int8


@needs_int8
def test_both_are_timed_in_turns_and_their_answers_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(0, 256, (12, 32, 32, 3)).astype(np.uint8)
        for name in ("x_train", "x_test")
    }
    labels = {name: np.arange(12) % 10 for name in ("y_train", "y_test")}
    np.savez(tmp_path / "images.npz", **arrays, **labels)
    stem = tmp_path / "speed"
    tiny = ["--model", "resnet8", "--samples", "128", "--repeats", "2", "--no_compile"]
    answers = ["--data", str(tmp_path / "images.npz"), "--images", "6", "--calibration", "4"]
    assert main([*tiny, *answers, "--out", str(stem)]) == 0
    shown = capsys.readouterr().out.strip()
    assert Path(f"{stem}.md").read_text().strip() == shown
    result = json.loads(Path(f"{stem}.json").read_text())
    assert {name: len(each) for name, each in result["seconds"].items()} == {
        "bfloat16": 2,
        "int8": 2,
    }
    assert result["numerics"]["int8"]["dtype"] == "int8"
    assert result["answers"]["images"] == 6
    assert result["answers"]["as float32"]["float32"] == 6
    assert "| int8 |" in shown


def test_images_that_cannot_be_used_are_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsmooth.benchmarks.int8_speed._pools", None)
    path = tmp_path / "images.npz"
    with pytest.raises(FileNotFoundError, match=r"images\.npz"):
        main(["--data", str(path)])
    pixels, labels = np.zeros((3, 32, 32, 3), np.uint8), np.arange(3)
    np.savez(path, x_test=pixels, y_test=labels)
    with pytest.raises(ValueError, match=r"and 512 training images in .*, got 3 and 0; name"):
        main(["--data", str(path)])
    np.savez(path, x_test=pixels, y_test=labels, x_train=pixels, y_train=labels)
    with pytest.raises(ValueError, match=r"and 4 training images in .*, got 3 and 3; name"):
        main(["--data", str(path), "--calibration", "4"])
