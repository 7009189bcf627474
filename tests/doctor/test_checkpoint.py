"""Reports on files of weights: each layout, each suspicion, and the command that certifies."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from rsmooth.cli import main
from rsmooth.doctor import Report, examine
from rsmooth.doctor.checkpoint import examine_checkpoint
from rsmooth.doctor.reading import read_weights
from rsmooth.records import read_log
from rsmooth.registry import MODELS

from .helpers import saved, weights

CONSTANTS = {"0.means": torch.tensor([0.5]), "0.sds": torch.tensor([0.5])}


def looked_at(path: Path) -> Report:
    """A report on the weights alone."""
    return examine_checkpoint(path, read_weights(path), None)


def tensors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: each.contiguous() for name, each in state.items()}


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "cohen": lambda p: saved(
        p, {"epoch": 9, "arch": "small-cnn", "state_dict": weights("1.module."), "optimizer": {}}
    ),
    "macer": lambda p: saved(p, {"net": weights(), "epoch": 9, "optimizer": {}}),
    "raw": lambda p: saved(p, weights()),
    "lightning": lambda p: saved(
        p, {"pytorch-lightning_version": "2.1", "state_dict": weights("model.")}
    ),
    "compiled": lambda p: saved(p, {"state_dict": weights("_orig_mod.")}),
    "averaged": lambda p: saved(
        p, {"state_dict": {"n_averaged": torch.tensor(3), **weights("module.")}}
    ),
    "constants": lambda p: saved(p, {"state_dict": {**CONSTANTS, **weights("1.")}}),
    "legacy": lambda p: saved(p, weights(), _use_new_zipfile_serialization=False),
    "namespace": lambda p: saved(p, {"args": argparse.Namespace(), "state_dict": weights()}),
    "cascade": lambda p: saved(p, {"state_dict": [weights(), weights()], "err": 0.5}),
    "half": lambda p: saved(
        p, {k: t.half() if t.is_floating_point() else t for k, t in weights().items()}
    ),
    "teacher": lambda p: saved(p, {"state_dict": {**weights("teacher."), **weights("net.")}}),
    "ema": lambda p: saved(p, {"model": weights(), "model_ema": weights()}),
}
CONVERTED = {"namespace", "cascade", "teacher"}


@pytest.mark.filterwarnings("ignore:.*torch before 1.6:UserWarning")  # it is a finding, too
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_printed_command_certifies(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every layout: architecture, normalisation, sigma, and commands that work as they stand."""
    monkeypatch.chdir(tmp_path)
    report = examine(LAYOUTS[layout](tmp_path / "net file.pth"))
    facts = report.facts
    assert facts["architecture"] == "small-cnn"
    assert facts["options"] == {"num_classes": 10, "in_channels": 1, "width": 8}
    assert facts["normalization"] == ("stored" if layout == "constants" else "0.5:0.5")
    assert facts["sigma"] == 0.25
    assert facts["opens"] == (layout not in CONVERTED)
    assert len(report.commands) == (2 if layout in CONVERTED else 1)
    assert not report.marked("wrong")
    assert len(report.tables) == 2
    for command in report.commands:
        words = shlex.split(command)
        assert words[0] == "rsmooth"
        short = ["--n", "100", "--n0", "10", "--max", "12", "--workers", "1"]
        quick = [*short, "--progress", "false"] if words[1] == "certify" else []
        assert main([*words[1:], *quick]) == 0
    [journal] = tmp_path.glob("*.jsonl")
    log = read_log(journal)
    assert log.correct.mean() > 0.5
    assert log.provenance["sigma"] == 0.25


def test_safetensors_of_others(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    save_file(tensors(weights("model.")), path)
    report = examine(path)
    assert report.facts["architecture"] == "small-cnn"
    assert (report.facts["prefix"], report.facts["checksums"]) == ("model.", False)
    # Whether it needs a conversion depends on torch, which reads such files in late releases.
    assert report.commands[-1].startswith("rsmooth certify --checkpoint")


def test_a_whole_module(tmp_path: Path) -> None:
    net = MODELS.create("small-cnn", in_channels=1, width=8)[1]
    net.load_state_dict(weights())
    report = looked_at(saved(tmp_path / "a.pth", nn.Sequential(nn.Dropout(), net)))
    assert report.kind == "a whole pickled module of class torch.nn.modules.container.Sequential"
    assert report.facts["architecture"] == "small-cnn"
    assert report.facts["prefix"] == "1."
    topics = [each.topic for each in report.marked("look")]
    assert topics == ["pickle", "dropout", "opens as", "trial"]


def marked(report: Report, mark: Any) -> dict[str, str]:
    return {each.topic: each.text for each in report.marked(mark)}


def test_optimizer_state_only(tmp_path: Path) -> None:
    report = looked_at(saved(tmp_path / "a.pth", {"optimizer": {"state": {}, "param_groups": []}}))
    assert "only the state of an optimiser (in optimizer)" in marked(report, "wrong")["weights"]


def test_no_weights(tmp_path: Path) -> None:
    report = looked_at(saved(tmp_path / "a.pth", {"epoch": 3}))
    assert "no weights of a network" in marked(report, "wrong")["weights"]


def test_missing_and_unexpected_weights(tmp_path: Path) -> None:
    state = {**weights(), "probe": torch.ones(2)}
    del state["6.weight"]
    report = looked_at(saved(tmp_path / "a.pth", state))
    assert report.facts["missing"] == ["6.weight"]
    assert report.facts["unexpected"] == ["probe"]
    text = marked(report, "wrong")["architecture"]
    assert "nearly small-cnn, but 1 tensors are missing: 6.weight; 1 are of nothing in it" in text


def test_batch_norm_without_statistics(tmp_path: Path) -> None:
    state = {name: each for name, each in weights().items() if "running" not in name}
    report = looked_at(saved(tmp_path / "a.pth", state))
    assert (
        "small-cnn without running statistics (6 tensors)" in marked(report, "wrong")["batch norm"]
    )


def test_weights_that_are_not_finite_are_not_tried(tmp_path: Path) -> None:
    state = weights()
    state["0.weight"][0, 0, 0, 0] = float("inf")
    report = examine(saved(tmp_path / "a.pth", state))
    assert "NaN or infinite in 0.weight" in marked(report, "wrong")["weights"]
    assert report.commands == []


def test_an_untrained_network_is_at_chance(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = MODELS.create("small-cnn", in_channels=1)[1].state_dict()
    report = examine(saved(tmp_path / "a.pth", state))
    found = marked(report, "wrong")
    assert "3 of 3 layers have untouched" in found["batch norm"]
    assert "not above chance" in found["accuracy"]
    assert report.commands == []


def test_labels_that_are_permuted(tmp_path: Path) -> None:
    order = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    state = weights()
    for name in ("11.weight", "11.bias"):
        moved = torch.empty_like(state[name])
        moved[order] = state[name]
        state[name] = moved
    report = examine(saved(tmp_path / "a.pth", state))
    assert "each answer is the label + 1 (modulo 10)" in marked(report, "wrong")["labels"]
    assert report.facts["permutation"] == order
    assert report.facts["normalization"] == "0.5:0.5"


def test_a_network_of_others(tmp_path: Path) -> None:
    names = [f"layer{stage}.{b}.conv1.weight" for stage in (1, 2, 3, 4) for b in (0, 1)]
    report = looked_at(saved(tmp_path / "a.pth", {name: torch.ones(3, 3) for name in names}))
    text = marked(report, "look")["architecture"]
    assert "none of rsmooth's" in text
    assert "ResNet-18" in text


def test_a_denoiser(tmp_path: Path) -> None:
    arrays = {"w0": np.ones((8, 3, 3, 3)), "b0": np.ones(8), "w1": np.ones((3, 8, 3, 3))}
    np.savez(
        tmp_path / "net.npz",
        **{k: v.astype(np.float32) for k, v in arrays.items()},
        b1=np.ones(3, np.float32),
    )
    report = examine(tmp_path / "net.npz")
    assert report.facts["architecture"] == "dncnn-blind"
    assert report.facts["denoiser"] == "dncnn-blind"


def test_images_that_do_not_fit(tmp_path: Path) -> None:
    from .helpers import test_images

    state = MODELS.create("resnet8")[1].state_dict()
    report = examine(saved(tmp_path / "a.pth", state), test_images())
    assert "takes images of 3 channels, and these have 1" in marked(report, "wrong")["images"]
    state = MODELS.create("small-cnn", in_channels=1, num_classes=7)[1].state_dict()
    report = examine(saved(tmp_path / "b.pth", state), test_images())
    assert "it knows 7 classes" in marked(report, "wrong")["images"]


def test_without_images_it_says_how_to_give_them(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", MODELS.create("resnet8")[1].state_dict())
    report = examine(path)
    assert report.commands == [f"rsmooth doctor {path} --dataset cifar10"]
    assert "no images were given" in marked(report, "look")["trial"]


def test_what_has_to_be_converted_is_said_without_images(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.pth", [MODELS.create("resnet8")[1].state_dict()])
    assert examine(path).commands[0] == f"rsmooth doctor {path} --convert a-plain.pth"


def test_an_entry_by_name(tmp_path: Path) -> None:
    path = LAYOUTS["teacher"](tmp_path / "a.pth")
    report = examine(path, entry="state_dict.teacher")
    assert report.facts["entry"] == "state_dict.teacher"
    assert "--entry state_dict.teacher --convert" in report.commands[0]
    with pytest.raises(
        ValueError, match=r"expected an entry of .*a\.pth, got 'ema'; it has 'state"
    ):
        examine(path, entry="ema")


def test_a_conversion_at_once(tmp_path: Path) -> None:
    out = tmp_path / "plain.pth"
    report = examine(LAYOUTS["cascade"](tmp_path / "a.pth"), out=out)
    assert out.exists()
    assert report.commands[0].startswith(f"rsmooth certify --checkpoint {out}")
