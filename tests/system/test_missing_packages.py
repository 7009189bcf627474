"""Without the optional packages: what does not need them works, the rest names the extra."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from rsmooth import ATTACKS, load_dataset
from rsmooth.benchmarks.main import main as benchmarks_main
from rsmooth.cli import main
from tests.cli.helpers import CERTIFY, TINY, error_of

OPTIONAL = ("foolbox", "matplotlib", "sklearn")


@pytest.fixture(autouse=True)
def none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in OPTIONAL:
        for loaded in [each for each in sys.modules if each.split(".")[0] == name]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, name, None)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set in a file, which needs none of them."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "images.npz"
    parts = {
        f"x_{split}": rng.integers(0, 256, (size, 8, 8), dtype=np.uint8)
        for split, size in (("train", 40), ("test", 8))
    }
    np.savez(path, **parts, y_train=np.arange(40) % 10, y_test=np.arange(8))
    return path


def test_training_certification_and_a_printed_report_need_none(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, data = str(tmp_path / "run"), ["--dataset", "npz", "--dataset.path", str(images)]
    assert main(["train", run, "--sigma", "0.25", *data, *TINY]) == 0
    assert main(["certify", run, *CERTIFY]) == 0
    assert main(["predict", run, "--n", "50", "--max", "2"]) == 0
    assert main(["attack", run, "--epsilons", "0.1", "--max", "2", "--n", "50"]) == 0
    assert main(["report", run]) == 0
    assert main(["list", "attacks", "foolbox"]) == 0
    for argv, extra in (
        (["report", run, "--out", str(tmp_path / "report")], "plots"),
        (["audit", run, "--max", "2"], "plots"),
        (["attack", run, "--attack", "foolbox", "--attack.attack", "L2PGD"], "foolbox"),
    ):
        assert f"pip install 'rsmooth[{extra}]'" in error_of(capsys, *argv)
    assert not (tmp_path / "report").exists(), "expected the error before any work"


def test_what_needs_one_names_its_extra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = error_of(capsys, "train", str(tmp_path / "run"), "--sigma", "0.25")
    assert "expected sklearn for the data set digits (scikit-learn), found none" in said
    assert "pip install 'rsmooth[digits]'" in said
    assert benchmarks_main(["run", "digits", "--out", str(tmp_path / "out")]) == 2
    assert "pip install 'rsmooth[plots]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ImportError, match=r"pip install 'rsmooth\[digits\]'"):
        load_dataset("digits")
    with pytest.raises(ImportError, match=r"pip install 'rsmooth\[foolbox\]'"):
        ATTACKS.create("foolbox", attack="L2PGD", epsilon=0.5)
