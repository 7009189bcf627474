"""Arms from several seeds: their names, what they need, and the section of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from rsmooth.benchmarks.across_seeds import across_seeds
from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.presets import load_preset, select_arms
from rsmooth.records import CertificationLog, write_log

PRESET = """
title: x
seeds: [3, 5]
ablate_from: plain-seed3
defaults: {train: {trainer: {name: gaussian}}, certify: {n: 100}}
arms:
  plain:
  taught: {train: {trainer: {name: cat-rs, teacher: {arm: plain}}}}
  tuned: {train: {model: null, init_from: {arm: plain}}}
"""


def test_every_arm_is_trained_from_every_seed_by_models_of_that_seed(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(PRESET)
    arms = load_preset(str(path)).arms
    names = [f"{name}-seed{seed}" for seed in (3, 5) for name in ("plain", "taught", "tuned")]
    assert [arm.name for arm in arms] == names
    assert [arm.train["seed"] for arm in arms] == [3, 3, 3, 5, 5, 5]
    assert [arm.needs for arm in arms[3:]] == [[], ["plain-seed5"], ["plain-seed5"]]
    options = [arm.train_options(Path("runs")) for arm in arms]
    assert options[4]["trainer"] == {"name": "cat-rs", "teacher": "runs/plain-seed5"}
    assert options[5]["init_from"] == Path("runs/plain-seed5")
    assert yaml.safe_load(yaml.safe_dump(arms[4].as_dict())) == arms[4].as_dict()


def test_the_command_line_chooses_seeds_and_methods(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(PRESET)
    preset = load_preset(str(path), seeds=[7, 5])
    assert [arm.train["seed"] for arm in preset.arms] == [7, 7, 7, 5, 5, 5]
    chosen = select_arms(preset, ["taught", "plain-seed5", "taught-seed7"])
    assert [arm.name for arm in chosen.arms] == ["taught-seed7", "taught-seed5", "plain-seed5"]
    with pytest.raises(ValueError, match="expected arms of mine, got plain-seed3; it has plain-"):
        select_arms(preset, ["plain-seed3"])


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [True], [1.5], 3])
def test_seeds_that_are_none_are_refused(seeds: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(PRESET.replace("[3, 5]", json.dumps(seeds)))
    with pytest.raises(ValueError, match="expected different seeds"):
        load_preset(str(path))


def run(
    folder: Path,
    radii: Any,
    steps: int,
    cpu: float,
    trainer: Any = "gaussian",
    asked: Any = None,
) -> Path:
    """A run folder with right certificates of these radii; asked: those of mode grid."""
    folder.mkdir(parents=True)
    count = len(radii)
    zeros, right = np.zeros(count, dtype=np.int64), np.ones(count, dtype=bool)
    provenance: dict[str, Any] = {"alpha": 0.001}
    if asked is not None:
        provenance.update(mode="grid", mode_options={"radii": asked})
    columns = (np.arange(count), zeros, zeros, np.asarray(radii), right, np.ones(count))
    write_log(CertificationLog(*columns, provenance=provenance), folder / "certificates.tsv")
    rows = [{"epoch": 0, "steps": steps - 2}, {"epoch": 1, "steps": 2}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = {"train": {"trainer": trainer}, "seconds": {"train": {"wall": 9.0, "cpu": cpu}}}
    (folder / SUMMARY).write_text(json.dumps(summary))
    return folder


def test_the_section_compares_methods_over_seeds(tmp_path: Path) -> None:
    base = np.array([0.1, 0.3, 0.5])
    folders = [
        run(tmp_path / f"{name}-seed{seed}", base + gain + 0.01 * seed, steps, 4.0 + seed)
        for name, gain, steps in (("plain", 0.0, 10), ("better", 0.1, 6))
        for seed in (0, 1)
    ]
    lines = across_seeds(folders, [0.25]).splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
    assert rows[0][-6:] == [
        "ACR",
        "ACR minus plain",
        "95 % interval",
        "steps",
        "training",
        "teacher",
    ]
    plain = ["plain", "2", "100.0", "66.7", "0.305 ± 0.007", "", "", "10", "4.5 s", ""]
    better = ["better", "2", "100.0", "66.7", "0.405 ± 0.007", "+0.100", "+0.100 to +0.100"]
    assert rows[2:] == [plain, [*better, "6", "4.5 s", ""]]


def test_an_arm_without_a_seed_in_its_name_counts_with_that_of_its_training(
    tmp_path: Path,
) -> None:
    names = ["plain", "plain-seed1", "better", "better-seed1", "once"]
    folders = [run(tmp_path / name, [0.1 * len(name), 1.0], 10, 4.0) for name in names]
    lines = across_seeds(folders, [0.25]).splitlines()
    assert [line.split("|")[1:3] for line in lines[4:7]] == [
        [" plain ", " 2 "],
        [" better ", " 2 "],
        [],
    ]
    summary = json.loads((folders[0] / SUMMARY).read_text())
    summary["train"]["seed"] = 1  # so that the two are one
    (folders[0] / SUMMARY).write_text(json.dumps(summary))
    assert across_seeds(folders, [0.25]) == ""


def test_what_mode_grid_did_not_decide_is_left_out_and_its_acr_is_a_bound(tmp_path: Path) -> None:
    folders = [
        run(tmp_path / f"{name}-seed{seed}", [0.0, 0.25, 0.5], 10, 4.0, asked=[0.25, 0.5])
        for name in ("plain", "better")
        for seed in (0, 1)
    ]
    for line in across_seeds(folders, [0.1, 0.25]).splitlines()[4:6]:
        cells = [cell.strip() for cell in line.split("|")[2:8]]
        assert cells == ["2", "-", "-", "66.7", "≥ 0.250 ± 0.000", ""]


@pytest.mark.parametrize("names", [["plain-seed0", "better-seed0"], ["plain", "better"]])
def test_without_several_seeds_there_is_no_section(names: list[str], tmp_path: Path) -> None:
    folders = [run(tmp_path / name, [0.1, 0.2], 4, 1.0) for name in names]
    assert across_seeds(folders, [0.25]) == ""


def test_a_teachers_cost_stands_beside_its_pupils(tmp_path: Path) -> None:
    trainer = {"name": "cat-rs", "teacher": {"arm": "plain-seed0"}}
    folders = [run(tmp_path / f"plain-seed{seed}", [0.1, 0.3], 8, 6.0) for seed in (0, 1)]
    pupils = [run(tmp_path / f"taught-seed{s}", [0.2, 0.3], 8, 9.0, trainer) for s in (0, 1)]
    lines = across_seeds([*folders, *pupils], [0.25]).splitlines()
    assert any(line.endswith("| 9.0 s | 6.0 s |") for line in lines)


@pytest.mark.parametrize("metrics", [None, '{"epoch": 0}\n{"epoch": 1, "steps": 8}\n'])
def test_what_nobody_noted_of_a_training_is_left_empty(metrics: str | None, tmp_path: Path) -> None:
    """As of committed records, which are without metrics, and of arms that only certify."""
    folders = [
        run(tmp_path / f"{name}-seed{seed}", [0.1, 0.3], 8, 6.0, {"name": "x", "teacher": teacher})
        for name, teacher in (("plain", None), ("path", "runs/a"), ("gone", {"arm": "a"}))
        for seed in (0, 1)
    ]
    (folders[1] / "metrics.jsonl").unlink()
    if metrics is not None:
        (folders[1] / "metrics.jsonl").write_text(metrics)
    (folders[3] / SUMMARY).write_text(json.dumps({"train": None, "seconds": {"certify": {}}}))
    plain, path, gone = across_seeds(folders, [0.25]).splitlines()[4:7]
    assert plain.endswith("|  | 6.0 s |  |")
    assert path.endswith("| 8 |  |  |")
    assert gone.endswith("| 8 | 6.0 s |  |")
