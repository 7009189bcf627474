"""What is wrong in a preset of somebody's own is said before any arm starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.benchmarks.ablations import ablation
from rsmooth.benchmarks.preset_files import read_preset
from rsmooth.benchmarks.presets import load_preset

SOUND = "title: T\narms:\n  a: {train: {sigma: 0.25}, certify: {n: 100}}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "got an empty file"),
        ("- a\n", "expected a mapping .* got list"),
        ("arms: {a: {}}\n", "with no title"),
        ("title: T\ntitle: U\narms: {a: {}}\n", "expected each key once .* title in line 1"),
        ("title: T\narms:\n\ta: {}\n", "expected YAML in .*mine.yaml"),
        ("title: 2024-01-01\narms: {a: {}}\n", "expected title of .* a text"),
        ("title: T\narms:\n", "expected at least one arm"),
        ("title: T\narms: [a, b]\n", "expected arms of .* a mapping"),
        ("title: T\narms: {a: smoothadv}\n", "expected arm a of .* a mapping, got 'smoothadv'"),
        ("title: T\narms: {a: {train: gaussian}}\n", "expected train of arm a .* got 'gaussian'"),
        ("title: T\narms: {a: {trian: {sigma: 1}}}\n", "certify and audit of arm a .*got trian"),
        (SOUND + "defaults: {trian: {}}\n", "of defaults .* got trian"),
        (SOUND + "tiny: {certfy: {}}\n", "of tiny .* got certfy"),
        (SOUND + "tiny: {arms: {b: {}}}\n", "among its arms, got b"),
        (SOUND + "jobs: 0\n", "expected jobs .* from 1, got 0"),
        (SOUND + "threads: many\n", "expected threads .* got 'many'"),
        (SOUND + "report: {radius: [0.5]}\n", "expected report of .*radii, linf"),
        (SOUND + "report: {radii: 0.5}\n", "lists of numbers >= 0 for radii"),
        (SOUND + "report: {radii: [-0.5]}\n", "lists of numbers >= 0 for radii"),
        (SOUND + "report: {linf: [.nan]}\n", "lists of numbers >= 0 for radii and linf"),
        (SOUND + "report: {reference: cifar}\n", "for reference cifar10, imagenet or none"),
        (SOUND + "data: 5\n", "expected data .* environment variable"),
    ],
)
def test_a_preset_that_is_wrong_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        load_preset(str(path), tiny=True)


@pytest.mark.parametrize("name", ["a/b", "../b", "/b", ".", "''", "1", "yes", '"a\\n"', "-b"])
def test_an_arm_has_the_name_of_a_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"title: T\narms:\n  ? {name}\n  : {{train: {{sigma: 0.25}}}}\n")
    with pytest.raises(ValueError, match="names that folders can have"):
        read_preset(path)


def test_a_key_without_a_value_is_as_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SOUND + "jobs:\nthreads:\nreport:\nseeds:\ndefaults:\ntiny:\n  arms:\n")
    preset = load_preset(str(path), tiny=True)
    assert (preset.jobs, preset.threads, preset.report) == (1, None, {})
    assert [arm.name for arm in preset.arms] == ["a"]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(SOUND.encode("utf-16"))
    with pytest.raises(ValueError, match="expected YAML in"):
        read_preset(path)


def test_the_arms_of_an_ablation_are_checked_as_those_of_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text in ("title: T\narms: [a]\n", "title: T\ntitle: U\narms: {a: {}}\n", ""):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"expected .*mine\.yaml"):
            ablation(load_preset("digits"), str(path))


def test_a_model_of_another_arm_is_named_by_the_key_arm(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SOUND + "  b: {train: {init_from: {arms: a}}}\n")
    with pytest.raises(ValueError, match=r"as \{arm: NAME\}, got \{'arms': 'a'\}"):
        load_preset(str(path))
