"""Attack speed, in a size that takes seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsmooth.benchmarks.attack_speed import PRECISIONS, main


def test_every_precision_is_timed_beside_float32(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stem = tmp_path / "speed"
    tiny = ["--model", "resnet8", "--device", "cpu", "--images", "2", "--steps", "1"]
    assert main([*tiny, "--repeats", "2", "--num_noise", "1", "2", "--out", str(stem)]) == 0
    shown = capsys.readouterr().out.strip()
    assert Path(f"{stem}.md").read_text().strip() == shown
    rows = json.loads(Path(f"{stem}.json").read_text())["rows"]
    assert [(row["attack"], row["num_noise"]) for row in rows] == [
        (name, m) for name in ("smoothadv-pgd", "smoothadv-ddn") for m in (1, 2)
    ]
    for row in rows:
        assert set(row["ratios"]) == set(PRECISIONS)
        assert row["ratios"]["float32"] == [1.0, 1.0]
        for precision in PRECISIONS:
            for ratio, own, plain in zip(
                row["ratios"][precision],
                row["seconds"][precision],
                row["seconds"]["float32"],
                strict=True,
            ):
                assert ratio == pytest.approx(plain / own)
