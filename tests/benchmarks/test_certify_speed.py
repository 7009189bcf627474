"""Certification speed, in sizes that take seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rsmooth.benchmarks import certify_speed
from rsmooth.benchmarks.certify_speed import Rate, Way, _rate, main


def test_both_loops_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Compiled ways and workers take longer to start than the rest.
    ways = [Way("float32", "float32", "no", 1), Way("broken", "float9", "no", 1)]
    monkeypatch.setattr(certify_speed, "_ways", lambda _: ways)
    stem = tmp_path / "speed"
    tiny = ["--device", "cpu", "--seconds", "0.02", "--repeats", "1", "--batch", "8", "--n", "100"]
    assert main(["--model", "small-cnn", *tiny, "--out", str(stem)]) == 0
    shown = capsys.readouterr().out
    assert "broken failed: " in shown  # and the others are measured all the same
    for size in (1000, 400, 128, 64, 32):
        assert f"| plain loop, float32, batch {size}" in shown
    assert shown.count("(its best)") == 1
    content = json.loads(Path(f"{stem}.json").read_text())
    assert set(content["failed"]) == {"broken"}
    [row] = content["rows"]
    plain = content["plain_samples_per_second"]
    assert plain[str(content["plain_best_batch"])] == max(plain.values())
    for size, [ratio] in row["ratios"].items():
        assert ratio == pytest.approx(row["samples_per_second"] / plain[size])


@pytest.mark.parametrize(
    ("model", "shape", "classes"), [("small-cnn", (1, 8, 8), 10), ("resnet8", (3, 32, 32), 10)]
)
def test_images_are_of_the_kind_that_the_model_is_for(
    model: str, shape: tuple[int, ...], classes: int
) -> None:
    options = certify_speed._parser().parse_args(["--model", model, "--device", "cpu"])
    g, data = certify_speed._problem(options)
    assert (data.images.shape[1:], g.num_classes) == (shape, classes)
    assert g.base(data.images[:2].float()).shape == (2, classes)


def test_start_up_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight rounds per worker are start-up; a clock by hand gives one second per event."""
    now = iter(range(100))
    monkeypatch.setattr(certify_speed.time, "perf_counter", lambda: float(next(now)))
    loop = (("round", {"samples": 10}) for _ in range(50))
    assert _rate(loop, 5.0, 1) == Rate(10.0, 8.0)
    with pytest.raises(RuntimeError, match="raise --n"):
        _rate(iter([("round", {"samples": 10})]), 5.0, 1)
