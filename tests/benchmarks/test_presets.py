"""Every shipped preset and ablation parses, and its trainers, attacks and models can be built."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from rsmooth.benchmarks.ablations import ABLATIONS, ablation, ablation_names
from rsmooth.benchmarks.presets import (
    Arm,
    Preset,
    load_preset,
    merge,
    preset_names,
    select_arms,
)
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


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_can_be_built(
    name: str, tiny: bool, made_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RSMOOTH_WEIGHTS", str(made_weights))
    preset = load_preset(name, tiny=tiny)
    assert len(preset.arms) >= 2
    assert preset.ablate_from in {None, *(arm.name for arm in preset.arms)}
    check_arms(preset)


@pytest.mark.parametrize("what", ablation_names())
def test_every_ablation_varies_just_what_it_says(what: str) -> None:
    preset = ablation(load_preset("digits"), what)
    check_arms(preset)
    base = next(arm for arm in load_preset("digits").arms if arm.name == "smoothadv")
    changes = yaml.safe_load(ABLATIONS.read_text())[what]["arms"]
    for arm in preset.arms:
        assert arm.as_dict() == merge(base.as_dict(), changes[arm.name] or {})
    assert len({str(arm.as_dict()) for arm in preset.arms}) == len(preset.arms)


def test_the_demo_has_the_four_orders_and_what_replaces_a_part_of_smoothadv() -> None:
    arms = {arm.name: arm.train for arm in load_preset("digits").arms}
    assert [train["trainer"]["name"] for train in arms.values()] == [
        "gaussian",
        "perturb-beside-noise",
        "perturb-then-noise",
        "noise-then-perturb",
        *["smoothadv"] * 3,
    ]
    assert arms["smoothadv-naive"]["attack"] == {
        **arms["smoothadv"]["attack"],
        "objective": "naive",
    }
    assert arms["smoothadv-ddn"]["attack"] == {**arms["smoothadv"]["attack"], "name": "ddn"}
    assert (
        len({str(train["trainer"] | {"name": ""}) for train in arms.values()}) == 1
    )  # all else is shared


def test_the_grid_follows_the_published_pairs_of_sigma_and_epsilon() -> None:
    published = {0.12: "64/256", 0.25: "127/256", 0.5: "255/256", 1.0: "512/256"}
    arms = [arm.train for arm in load_preset("cifar10").arms]
    assert {train["sigma"] for train in arms} == set(published)
    assert all(
        train["attack"]["epsilon"] == published[train["sigma"]]
        for train in arms
        if train.get("attack")
    )


def test_an_arm_may_certify_models_of_others_alone(tmp_path: Path) -> None:
    arms = {arm.name: arm for arm in load_preset("linf-digits").arms}
    both, second = arms["wong-kolter-voting"], arms["wong-kolter-2"]
    assert both.needs == ["wong-kolter", "wong-kolter-2"]
    assert second.needs == []
    later = next(a for a in load_preset("linf-cifar10-cpu").arms if a.name == "wong-kolter-2")
    assert later.needs == ["wong-kolter"]
    assert later.train_options(tmp_path)["earlier"] == [tmp_path / "wong-kolter"]
    options = both.certify_options(tmp_path)
    assert options["source"] == tmp_path / "wong-kolter"
    assert options["ensemble"] == [tmp_path / "wong-kolter-2"]
    assert options["out"] == tmp_path / "wong-kolter-voting" / "certificates.jsonl"
    assert second.certify_options(tmp_path)["source"] == tmp_path / "wong-kolter-2"
    assert arms["gaussian"].as_dict().keys() == {"train", "certify"}
    assert second.as_dict()["audit"] == both.as_dict()["audit"] == {"steps": 20}
    assert second.audit_options(tmp_path) == {"steps": 20, "source": tmp_path / "wong-kolter-2"}
    assert both.audit_options(tmp_path) == {
        **{"steps": 20, "source": tmp_path / "wong-kolter", "rule": "voting"},
        "ensemble": [tmp_path / "wong-kolter-2"],
        "log": tmp_path / "wong-kolter-voting",
    }
    validated = Arm("a", {}, {"split": "validation", "n": 100}, {"steps": 5})
    assert validated.audit_options(tmp_path) == {
        **{"steps": 5, "source": tmp_path / "a", "split": "validation"}
    }
    assert load_preset("digits").arms[0].as_dict().keys() == {"train", "certify"}


def test_unknown_presets_arms_and_keys_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a preset, got 'digit'; known: .*digits"):
        load_preset("digit")
    with pytest.raises(ValueError, match="expected arms of digits, got nobody"):
        select_arms(load_preset("digits"), ["nobody"])
    with pytest.raises(ValueError, match=r"expected an ablation, got 'colour'.* or a \.yaml file"):
        ablation(load_preset("digits"), "colour")
    (tmp_path / "mine.yaml").write_text("title: x\narmss: {}\n")
    with pytest.raises(ValueError, match="armss"):
        load_preset(str(tmp_path / "mine.yaml"))


def test_merging_replaces_leaves_and_nulls() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": 5}, "d": None}) == {"a": {"b": 5, "c": 2}, "d": None}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_an_ablation_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "epochs.yaml"
    path.write_text("title: How long\narms:\n  e1: {train: {trainer: {epochs: 1}}}\n  as-is:\n")
    preset = load_preset("digits")
    base = next(arm for arm in preset.arms if arm.name == preset.ablate_from)
    made = ablation(preset, str(path))
    assert (made.name, made.title) == ("digits-epochs", "How long (digits)")
    one, unchanged = made.arms
    assert one.train["trainer"] == {**base.train["trainer"], "epochs": 1}
    assert unchanged.as_dict() == base.as_dict()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("title: a\n", "expected an ablation with title and arms in .*, got title"),
        ("- a\n", "got list"),
        ("title: a\narms: {x: {trainer: gaussian}}\n", "options of train and certify of arm x"),
    ],
)
def test_an_ablation_that_is_none(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=said):
        ablation(load_preset("digits"), str(path))
    with pytest.raises(ValueError, match="which is not there"):
        ablation(load_preset("digits"), "nowhere.yaml")


def test_what_is_smoothed_on_two_cores_has_one_network() -> None:
    """An arm that only turns the normalisation off would get the network of the bounds."""
    arms = load_preset("linf-cifar10-cpu").arms
    smoothed = [arm.train for arm in arms if arm.train and arm.train.get("sigma")]
    assert {options["model"]["name"] for options in smoothed} == {"resnet8"}
    assert len(smoothed) == 4
