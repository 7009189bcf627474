"""The training time of a run is read from its folder, by the clock of its configuration."""

import csv
import io
import json

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import write_log
from rsmooth.report import load_runs, report, to_csv
from rsmooth.report.training_time import TrainingTime, made_from_others
from tests.report.by_hand import HEADER, run_of, write_run


@pytest.mark.parametrize(
    ("trainer", "time"),
    [
        ({"name": "gaussian", "budget_clock": "process"}, TrainingTime(cpu=90.0, by_cpu=True)),
        ({"name": "gaussian", "epochs": 3}, TrainingTime(cpu=90.0, by_cpu=True)),
        ("gaussian", TrainingTime(cpu=90.0, by_cpu=True)),
        ({"name": "gaussian", "budget_clock": "wall"}, TrainingTime(wall=90.0)),
        (
            {"name": "cat-rs", "teacher": "runs/gaussian"},
            TrainingTime(cpu=90.0, by_cpu=True, partial=True),
        ),
    ],
)
def test_training_time_is_that_of_the_metrics_by_the_clock_of_the_configuration(
    trainer, time, tmp_path
):
    folder = write_run(tmp_path / "a", [900], seconds=90.0, trainer=trainer)
    assert load_runs([folder])[0].training == time
    given = TrainingTime(wall=100.0, cpu=95.0)
    assert load_runs([folder], training=[given])[0].training == given
    assert load_runs([folder], training=[None])[0].training == time
    (folder / "config.yaml").unlink()
    assert load_runs([folder])[0].training is None  # by which clock is not known


def test_a_run_made_by_the_trainer_shows_its_training_time(tmp_path):
    """The files of a real run, not of one written by hand."""
    torch = pytest.importorskip("torch")
    from rsmooth.cli.train import train

    torch.manual_seed(0)
    trainer = {"name": "gaussian", "epochs": 1, "precision": "float32"}
    folder = tmp_path / "run"
    model = {"name": "small-cnn", "width": 2}
    train(run=folder, sigma=0.25, dataset="digits", model=model, trainer=trainer, progress=False)
    write_log(run_of(provenance=HEADER).log, folder / "certificates.tsv")
    spent = load_runs([folder])[0].training
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert spent == TrainingTime(cpu=last["seconds"], by_cpu=True)
    assert " CPU | 4 s |" in report([folder]).markdown


def test_broken_metrics_and_configurations_are_named(tmp_path):
    folder = write_run(tmp_path / "a", [900])
    (folder / "metrics.jsonl").write_text("")
    assert load_runs([folder])[0].training is None
    (folder / "metrics.jsonl").write_text('{"epoch": 0}\n')
    with pytest.raises(RecordError, match=r"expected seconds in the last line of .*metrics\.jsonl"):
        load_runs([folder])
    (folder / "metrics.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(RecordError, match=r"expected seconds in the last line of .*metrics\.jsonl"):
        load_runs([folder])
    (folder / "metrics.jsonl").write_text('{"seconds": 1}\n')
    (folder / "config.yaml").write_text("{")
    with pytest.raises(RecordError, match=r"expected YAML in .*config\.yaml"):
        load_runs([folder])


def test_nothing_is_read_of_what_the_harness_writes(tmp_path):
    folder = write_run(tmp_path / "a", [900])
    (folder / "summary.json").write_text("{}")
    assert load_runs([folder])[0].training == TrainingTime(wall=7200.0)
    with pytest.raises(ValueError, match="expected 1 training times, one per run, got 2"):
        load_runs([folder], training=[None, None])


@pytest.mark.parametrize(
    ("training", "marked"),
    [
        ({"init_from": "runs/first"}, True),
        ({"init_from": {"arm": "first"}}, False),  # whose time a preset knows
        ({"earlier": [{"arm": "stage1"}, "runs/stage2"]}, True),
        ({"trainer": {"name": "cat-rs", "teacher": "runs/gaussian"}}, True),
        ({"trainer": {"name": "cat-rs", "soft_label_file": "votes.jsonl"}}, True),
        ({"trainer": {"teacher": {"arm": "gaussian"}, "soft_label_file": "votes.jsonl"}}, False),
        ({"model": {"name": "resnet50", "pretrained": True}}, True),
        ({"model": {"name": "denoised", "classifier": {"checkpoint": "net.th"}}}, True),
        ({"model": {"name": "denoised", "denoiser": {"name": "dncnn", "weights": None}}}, False),
        ({"model": "small-cnn", "trainer": "gaussian", "init_from": None}, False),
    ],
)
def test_weights_of_others_are_seen_wherever_they_are_named(training, marked):
    assert made_from_others(training) is marked


@pytest.mark.parametrize("option", [{"init_from": "runs/first"}, {"earlier": ["runs/stage1"]}])
def test_the_time_of_a_run_that_was_made_from_another_is_marked(option, tmp_path):
    folder = write_run(tmp_path / "a", [900], seconds=90.0)
    config = json.loads((folder / "config.yaml").read_text())
    for said, shown in ((option, "| > 1.5 min |"), (dict.fromkeys(option), "| 1.5 min |")):
        (folder / "config.yaml").write_text(json.dumps(config | said))
        made = report([folder])
        assert shown in made.markdown
        row = next(csv.DictReader(io.StringIO(to_csv(made.table))))
        assert row["train_seconds_are_partial"] == str(">" in shown)
