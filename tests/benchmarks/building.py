"""Whether what the arms of a preset ask for can be built."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from rsmooth.benchmarks.presets import Preset
from rsmooth.certify import CertifySettings
from rsmooth.config.parts import build_model, build_trainer
from rsmooth.data import DataSplits
from rsmooth.plumbing.values import pixel_value

OF_MODELS = ("source", "model", "checkpoint", "arch", "normalize", "sigma")
SPLITS = {"digits": (1, 8, 8), "npz": (3, 32, 32), "folder": (3, 224, 224)}


def check_arms(preset: Preset) -> None:
    """Build what every arm asks for, all but the data; each kind of model once."""
    built: set[str] = set()
    for arm in preset.arms:
        check_certify(dict(arm.certify or {}))
        if arm.train is None:
            assert arm.certify is not None
            assert {"source", "model", "checkpoint"} & set(arm.certify)
            continue
        train = arm.train_options(Path("runs"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            build_trainer(
                train["trainer"], train.get("attack"), train.get("seed", 0), train.get("preset")
            )
        assert (train["model"] is None) == (train.get("init_from") is not None)
        if train["model"] is not None and str(train["model"]) not in built:
            splits = DataSplits(
                None, None, None, 10, SPLITS[train["dataset"]["name"]], augment=False
            )
            build_model(train["model"], splits)
            built.add(str(train["model"]))


def check_certify(certify: dict[str, Any]) -> None:
    """The options of samples make settings; those of bounds are the ones of deterministic runs."""
    for name in ("skip", "max", "images", "workers", "split", "dataset", "device", *OF_MODELS):
        certify.pop(name, None)
    if certify.get("norm") == "linf":
        assert set(certify) <= {"norm", "epsilons", "bounds", "ensemble", "rule"}
        assert all(0 < pixel_value(epsilon) < 1 for epsilon in certify["epsilons"])
        return
    CertifySettings(**certify)
