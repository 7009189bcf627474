"""Ablations vary what they say about one arm, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rsmooth.benchmarks.ablations import ABLATIONS, ablation, ablation_names
from rsmooth.benchmarks.presets import load_preset, merge
from tests.benchmarks.building import check_arms


@pytest.mark.parametrize("base_of", ["digits", "defences-digits"])
@pytest.mark.parametrize("what", ablation_names())
def test_every_ablation_varies_just_what_it_says(what: str, base_of: str) -> None:
    """The second preset writes the attack of the first as smoothadv-pgd."""
    preset = ablation(load_preset(base_of), what)
    check_arms(preset)
    vary = load_preset(base_of)
    base = next(arm for arm in vary.arms if arm.name == vary.ablate_from)
    named = next(arm for arm in load_preset("digits").arms if arm.name == "smoothadv")
    base = replace(base, train={**base.train, "attack": named.train["attack"]})
    changes = yaml.safe_load(ABLATIONS.read_text())[what]["arms"]
    for arm in preset.arms:
        assert arm.as_dict() == merge(base.as_dict(), changes[arm.name] or {})
    assert len({str(arm.as_dict()) for arm in preset.arms}) == len(preset.arms)


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
    with pytest.raises(ValueError, match=r"expected an ablation, got 'colour'.* or a \.yaml file"):
        ablation(load_preset("digits"), "colour")
