"""The model that a verb works on, and the file that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth import MODELS, SmoothedClassifier
from rsmooth.cli.models import check_fits, load_own, load_published, output_file
from rsmooth.noise import Laplace


def test_a_run_folder_has_its_model(run: Path) -> None:
    last, best = (load_own(run, weights, "cpu", (1, 8, 8)) for weights in ("last", "best"))
    assert last.sigma == best.sigma == 0.25
    with pytest.raises(ValueError, match=r"expected a model for images \(3, 8, 8\)"):
        load_own(run, "last", "cpu", (3, 8, 8))
    with pytest.raises(ValueError, match="expected either a run folder"):
        load_own(None, "last", "cpu", (1, 8, 8))


def test_a_published_checkpoint_is_smoothed_with_the_noise_that_is_asked_for(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    base = MODELS.create("resnet20", num_classes=10, normalize="cifar10")
    state = {f"1.{name}": tensor for name, tensor in base[1].state_dict().items()}
    path = tmp_path / "checkpoint.pth.tar"
    torch.save({"arch": "cifar_resnet20", "state_dict": state}, path)
    g = load_published(path, "cifar10", None, {"name": "laplace", "scale": 0.1}, "cpu", (3, 32, 32))
    assert g.noise == Laplace(0.1)
    assert not g.training
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(g.base(x), base.eval()(x))


def test_the_classes_of_a_network_without_that_option_are_its_logits(tmp_path: Path) -> None:
    def fixed() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))

    theirs = fixed()
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    MODELS.register("test-fixed")(fixed)
    try:
        g = load_published(
            tmp_path / "own.pth", "unknown", 0.25, None, "cpu", (1, 8, 8), "test-fixed"
        )
    finally:
        MODELS._entries.pop("test-fixed")
    x = torch.rand(2, 1, 8, 8)
    assert g.num_classes == 7
    assert torch.equal(g.base(x), theirs(x))


def test_a_check_leaves_the_mode_as_it_was() -> None:
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=4)
    g = SmoothedClassifier(base, 0.25, 10).train()
    with pytest.raises(ValueError, match="choose another model or other images"):
        check_fits(g, (3, 8, 8))
    check_fits(g, (1, 8, 8))
    assert g.training


def test_a_file_that_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert output_file(None) is None
    assert output_file(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "old").touch()
    cases = [
        (tmp_path, "which is a folder; name a file"),
        (tmp_path / "no" / "folder", "make the folder first"),
        (tmp_path / "old" / "new", "make the folder first"),
    ]
    for path, said in cases:
        with pytest.raises(ValueError, match=said):
            output_file(path)
    for closed in (tmp_path, tmp_path / "old"):  # a new file takes the place of the old one
        with monkeypatch.context() as patch:
            patch.setattr("os.access", lambda path, mode, closed=closed: Path(path) != closed)
            with pytest.raises(ValueError, match="which may not be written; change the perm"):
                output_file(tmp_path / "old")
            assert output_file(Path("/dev/null")) == Path("/dev/null")
