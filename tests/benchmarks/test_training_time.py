"""The training time of an arm counts that of the arms whose models it needs, each once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rsmooth.benchmarks.arm import SUMMARY
from rsmooth.benchmarks.training_time import training_time
from rsmooth.report.training_time import TrainingTime


@pytest.mark.parametrize(
    ("trainer", "gpu", "by_cpu"),
    [
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "process"}, "A100", True),
        ({"name": "gaussian", "budget_seconds": 360}, "A100", True),  # a budget counts by it
        ({"name": "gaussian", "budget_seconds": 360, "budget_clock": "wall"}, None, False),
        ({"name": "gaussian", "epochs": 3}, "A100", False),
        ({"name": "gaussian", "epochs": 3}, None, True),
        ("gaussian", None, True),
        ("gaussian", "A100", False),
    ],
)
def test_trainings_on_a_cpu_and_budgets_of_cpu_time_are_compared_by_it(
    trainer: object, gpu: str | None, by_cpu: bool, tmp_path: Path
) -> None:
    said = {
        "train": {"trainer": trainer},
        "seconds": {"train": {"wall": 1131.7, "cpu": 368.35}},
        "provenance": {"gpu": gpu},
    }
    (tmp_path / SUMMARY).write_text(json.dumps(said))
    assert training_time(tmp_path) == TrainingTime(1131.7, 368.35, by_cpu)


def test_a_broken_summary_is_named(tmp_path: Path) -> None:
    assert training_time(tmp_path) is None
    (tmp_path / SUMMARY).write_text("{}")
    with pytest.raises(ValueError, match=r"expected seconds\.train\.wall in .*summary\.json"):
        training_time(tmp_path)


def arms(folder: Path, **content: dict[str, Any]) -> None:
    """Summaries of finished arms; the n-th of them took 2^n seconds."""
    for number, (name, options) in enumerate(content.items()):
        trained = {} if options.get("train", 0) is None else {"train": {"wall": 2**number}}
        (folder / name).mkdir()
        (folder / name / SUMMARY).write_text(json.dumps({**options, "seconds": trained}))


def test_an_arm_counts_all_that_its_model_was_made_from(tmp_path: Path) -> None:
    arms(
        tmp_path,
        first={"train": {}},
        second={"train": {"init_from": {"arm": "first"}}},
        third={"train": {"init_from": {"arm": "second"}, "trainer": {"teacher": {"arm": "first"}}}},
        certified={"train": None, "certify": {"ensemble": [{"arm": "second"}, {"arm": "third"}]}},
        fine_tuned={"train": {"model": {"name": "resnet50", "pretrained": True}}},
        tuned_again={"train": {"init_from": {"arm": "fine_tuned"}}},
        published={"train": None, "certify": {"checkpoint": "weights.pth"}},
    )
    found = {path.name: training_time(path) for path in tmp_path.iterdir()}
    assert found == {
        "first": TrainingTime(1),
        "second": TrainingTime(1 + 2),
        "third": TrainingTime(1 + 2 + 4),
        "certified": TrainingTime(1 + 2 + 4),
        "fine_tuned": TrainingTime(16, partial=True),
        "tuned_again": TrainingTime(16 + 32, partial=True),
        "published": None,
    }


@pytest.mark.parametrize("first", [None, '{"seconds": {"train": {"wall": NaN}}}'])
def test_where_the_time_of_an_arm_it_needs_is_not_known_the_time_is_marked(
    first: str | None, tmp_path: Path
) -> None:
    arms(tmp_path, second={"train": {"init_from": {"arm": "first"}}}, first={})
    file = tmp_path / "first" / SUMMARY
    file.unlink() if first is None else file.write_text(first)
    assert training_time(tmp_path / "first") is None
    assert training_time(tmp_path / "second") == TrainingTime(1, partial=True)


def test_the_arms_beside_the_folder_of_now_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms(tmp_path, first={}, second={"train": {"init_from": {"arm": "first"}}})
    monkeypatch.chdir(tmp_path / "second")
    assert training_time(Path()) == TrainingTime(1 + 2)
