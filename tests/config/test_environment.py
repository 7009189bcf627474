"""Environment variables in options, at any depth, and errors that do not show them."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.config.environment import create_here, expanded
from rsmooth.registry import MODELS


def test_variables_within_options_of_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSMOOTH_FOLDER", "there")
    value = {"a": "$RSMOOTH_FOLDER/x", "b": {"c": "${RSMOOTH_FOLDER}", "d": 3}, "e": None}
    assert expanded(value, "it") == {"a": "there/x", "b": {"c": "there", "d": 3}, "e": None}


@pytest.mark.parametrize("text", ["$RSMOOTH_NOWHERE", "${RSMOOTH_NOWHERE}/file"])
def test_a_variable_that_is_not_set_is_named_with_its_option(text: str) -> None:
    said = r"variable \$RSMOOTH_NOWHERE, which option path of it names, .*RSMOOTH_NOWHERE=PATH$"
    with pytest.raises(ValueError, match=said):
        expanded({"path": text}, "it")
    with pytest.raises(ValueError, match=said):
        expanded({"inner": {"path": text}}, "it")


def test_errors_show_what_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RSMOOTH_SECRET", str(tmp_path / "a-secret"))
    spec = {
        "name": "denoised",
        "denoiser": {"name": "dncnn", "weights": "$RSMOOTH_SECRET/x.npz"},
        "classifier": "small-cnn",
    }
    with pytest.raises(FileNotFoundError, match=r"\$RSMOOTH_SECRET/x\.npz") as caught:
        create_here(MODELS, spec)
    assert "a-secret" not in f"{caught.value} {caught.value.args}"
