"""Objects of foreign classes are looked at, and never made."""

from __future__ import annotations

import argparse
import os
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.doctor.inert import Inert, load_inert, opened_up

from .helpers import saved

RAN: list[str] = []


class Trap:
    """An object whose unpickling would run code of the file's choice."""

    def __reduce__(self) -> tuple[object, ...]:
        return RAN.append, ("ran",)


class Opener:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch trapped",)


def refused(path: Path) -> BaseException:
    with pytest.raises(pickle.UnpicklingError) as caught:
        torch.load(path, weights_only=True)
    return caught.value


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_beside_a_namespace(tmp_path: Path, zipped: bool) -> None:
    content = {"args": argparse.Namespace(lr=0.1), "state_dict": {"w": torch.ones(2, 2)}}
    path = saved(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped)
    found, classes = load_inert(path, refused(path))
    assert classes == ["argparse.Namespace"]
    assert torch.equal(found["state_dict"]["w"], torch.ones(2, 2))
    assert (found["args"].kind, found["args"].state) == ("argparse.Namespace", {"lr": 0.1})


def test_a_whole_module_becomes_its_state_dict(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2), nn.Dropout()))
    path = saved(tmp_path / "a.pth", net)
    found, classes = load_inert(path, refused(path))
    assert isinstance(found, Inert)
    assert "torch.nn.modules.dropout.Dropout" in classes
    state = opened_up(found)
    assert set(state) == set(net.state_dict())
    assert torch.equal(state["0.weight"], net[0].weight)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for each in (Trap(), Opener()):
        path = saved(tmp_path / "a.pth", {"w": torch.ones(2, 2), "x": each})
        with suppress(ValueError):  # refused, which is as good
            load_inert(path, refused(path))
    assert RAN == []
    assert not (tmp_path / "trapped").exists()


def test_other_errors_are_passed_on(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such thing"):
        load_inert(tmp_path / "a", ValueError("no such thing"))


def test_plain_values_stay() -> None:
    assert opened_up([1]) == [1]
