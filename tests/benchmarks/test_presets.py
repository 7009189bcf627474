"""Every shipped preset parses, and its trainers, attacks and models can be built."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.benchmarks.presets import Arm, load_preset, merge, preset_names, select_arms
from tests.benchmarks.building import check_arms


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
    (tmp_path / "mine.yaml").write_text("title: x\narmss: {}\n")
    with pytest.raises(ValueError, match="armss"):
        load_preset(str(tmp_path / "mine.yaml"))


def test_merging_replaces_leaves_and_nulls() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": 3}
    assert merge(base, {"a": {"b": 5}, "d": None}) == {"a": {"b": 5, "c": 2}, "d": None}
    assert base == {"a": {"b": 1, "c": 2}, "d": 3}


def test_what_is_smoothed_on_two_cores_has_one_network() -> None:
    """An arm that only turns the normalisation off would get the network of the bounds."""
    arms = load_preset("linf-cifar10-cpu").arms
    smoothed = [arm.train for arm in arms if arm.train and arm.train.get("sigma")]
    assert {options["model"]["name"] for options in smoothed} == {"resnet8"}
    assert len(smoothed) == 4
