"""Numbers of measurements that make no sense are refused before any work."""

from __future__ import annotations

import pytest

from rsmooth.benchmarks.main import main


@pytest.mark.parametrize(
    ("command", "option", "value", "message"),
    [
        ("attack-speed", "num_noise", "0", "expected an integer >= 1, got '0'"),
        ("bound-cost", "batch", "-1", "expected an integer >= 1, got '-1'"),
        ("certify-samples", "alpha", "1", "expected a number between 0 and 1, got '1'"),
        ("certify-samples", "step", "0", "expected a finite number > 0, got '0'"),
        ("certify-speed", "plain_batches", "0", "expected an integer >= 1, got '0'"),
        ("certify-speed", "seconds", "inf", "expected a finite number > 0, got 'inf'"),
        ("int8-speed", "samples", "1.5", "expected an integer >= 1, got '1.5'"),
        ("method-cost", "rounds", "0", "expected an integer >= 1, got '0'"),
        ("noise-cost", "batch", "0", "expected an integer >= 1, got '0'"),
        ("sample-cap", "sigma", "nan", "expected a finite number > 0, got 'nan'"),
        ("start-up", "repeats", "0", "expected an integer >= 1, got '0'"),
        ("train-speed", "batch", "0", "expected an integer >= 1, got '0'"),  # it never ended
        ("train-speed", "workers", "-1", "expected an integer >= 0, got '-1'"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(
    command: str, option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, f"--{option}", value])
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(f"argument --{option}: {message}\n")
