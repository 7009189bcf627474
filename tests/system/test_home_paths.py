"""Wherever a user names a file, ~ is the home folder: no folder of that name is made or looked for.

The first part writes, the second reads what is only in the home folder.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import rsmooth
from rsmooth import DENOISERS, MODELS, SmoothedClassifier, Trainer, certify_dataset, load_dataset
from rsmooth.benchmarks import main as harness
from rsmooth.benchmarks.ablations import ablation
from rsmooth.benchmarks.presets import Arm, Preset, load_preset
from rsmooth.benchmarks.report import report_runs
from rsmooth.benchmarks.runner import run as run_arms
from rsmooth.certify import CertifySettings, read_log, write_log
from rsmooth.cli.main import parse
from rsmooth.cli.signature import call
from rsmooth.data.class_list import read_classes
from rsmooth.data.images import ImageData
from rsmooth.defenses.pretrain import init_from
from rsmooth.defenses.voting import read_vote_labels, vote_labels
from rsmooth.doctor import examine
from rsmooth.models import atomic_save, load_checkpoint, load_model, model_card, safe_load
from rsmooth.models.hub_card import read_card
from rsmooth.models.safetensors import read_tensors, write_tensors
from rsmooth.plumbing.values import paths
from rsmooth.records import Journal, record_files
from rsmooth.records.files import audit_of, log_of_run
from rsmooth.records.journal import parse_journal
from rsmooth.report import load_runs, report, save_figure, write_page
from rsmooth.report.collecting import collect
from rsmooth.report.looks import needed_for_figures

SETTINGS = CertifySettings(n0=8, n=40, alpha=0.05)


class Made(NamedTuple):
    """What there is to write."""

    g: SmoothedClassifier
    data: ImageData
    home: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A home folder with a file of each kind."""
    home = tmp_path_factory.mktemp("home")
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=4)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10).eval()
    data = load_dataset("digits").test.subset([0, 1])
    g.save(home / "model.pt")
    g.save(home / "model.safetensors")
    g.save(f"{home / 'hub'}/")
    net = MODELS.create("small-cnn", num_classes=10, in_channels=1)
    torch.save(net.state_dict(), home / "published.pth")
    torch.save(DENOISERS.create("dncnn", depth=3, width=4).state_dict(), home / "denoiser.pt")
    certify_dataset(g, data, home / "run", SETTINGS, progress=False)
    vote_labels(g, data, home / "votes.jsonl", votes=40, progress=False)
    np.savez(home / "d.npz", x_test=data.images[:, 0].numpy(), y_test=data.labels.numpy())
    (home / "classes.txt").write_text("a\nb\n")
    (home / "mine.yaml").write_text("title: Mine\narms: {a: {train: {sigma: 0.25}}}\n")
    return Made(g, data, home)


@pytest.fixture(autouse=True)
def _places(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(made.home))
    monkeypatch.setenv("USERPROFILE", str(made.home))
    monkeypatch.chdir(tmp_path)


def _journal(path: str) -> None:
    with Journal(path, {"a": 1}) as record:
        record.append("image", {"idx": 0})


def _figure(path: str) -> None:
    figure = needed_for_figures().figure.Figure(figsize=(1, 1))
    save_figure(figure, path)


class _NoJobs:
    """A launcher whose arms end at once."""

    def jobs(self, arms: int, usual: int) -> int:
        return 1

    def start(self, job: Any) -> Any:
        return SimpleNamespace(poll=lambda: 1)


_TRAINED = Arm("a", {"sigma": 0.25}, None)

WRITERS: dict[str, tuple[Callable[[Made, str], Any], str]] = {
    "save": (lambda m, p: m.g.save(p), ""),
    "save .safetensors": (lambda m, p: m.g.save(f"{p}.safetensors"), ".safetensors"),
    "save folder": (lambda m, p: m.g.save(f"{p}/"), "/model.safetensors"),
    "save as a path": (lambda m, p: m.g.save(Path(p)), ""),
    "atomic_save": (lambda m, p: atomic_save({}, p), ""),
    "write_tensors": (lambda m, p: write_tensors(p, {}, {}), ""),
    "fit": (
        lambda m, p: Trainer(epochs=1, precision="float32").fit(
            m.g, m.data, run_dir=p, progress=False
        ),
        "/model.pt",
    ),
    "certify_dataset": (
        lambda m, p: certify_dataset(m.g, m.data, f"{p}.jsonl", SETTINGS, progress=False),
        ".jsonl",
    ),
    "certify_dataset folder": (
        lambda m, p: certify_dataset(m.g, m.data, p, SETTINGS, progress=False),
        "/certificates.tsv",
    ),
    "vote_labels": (
        lambda m, p: vote_labels(m.g, m.data, f"{p}.jsonl", votes=40, progress=False),
        ".jsonl",
    ),
    "write_log": (lambda m, p: write_log(read_log(m.home / "run"), p), ""),
    "Journal": (lambda m, p: _journal(p), ""),
    "report": (lambda m, p: report([m.home / "run"], p), "/report.md"),
    "report_runs": (
        lambda m, p: report_runs([m.home / "run"], title="t", out=Path(p)),
        "/report.md",
    ),
    "write_page": (lambda m, p: write_page(report([m.home / "run"]), f"{p}.html"), ".html"),
    "save_figure": (lambda m, p: _figure(p), ".png"),
    "examine": (lambda m, p: examine("~/published.pth", m.data, out=Path(p)), ""),
    "benchmarks": (
        lambda m, p: run_arms(Preset("a", "t", (_TRAINED,), {}), Path(p), launcher=_NoJobs()),
        "/a/arm.yaml",
    ),
}


@pytest.mark.parametrize("what", WRITERS)
def test_what_is_written_to_the_home_folder_is_there(
    what: str, made: Made, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write, end = WRITERS[what]
    (made.home / "new").mkdir()
    request.addfinalizer(lambda: shutil.rmtree(made.home / "new"))
    write(made, "~/new/a")
    assert (made.home / f"new/a{end}").is_file()
    assert not list(tmp_path.iterdir())


READERS: dict[str, Callable[[Made], Any]] = {
    "load": lambda m: SmoothedClassifier.load("~/model.pt"),
    "load .safetensors": lambda m: SmoothedClassifier.load("~/model.safetensors"),
    "load folder": lambda m: SmoothedClassifier.load(Path("~/hub")),
    "load_model": lambda m: load_model("~/model.pt"),
    "model_card": lambda m: model_card("~/hub"),
    "read_card": lambda m: read_card("~/hub"),
    "read_tensors": lambda m: read_tensors("~/model.safetensors"),
    "safe_load": lambda m: safe_load("~/published.pth"),
    "load_checkpoint": lambda m: load_checkpoint(
        "~/published.pth", arch="small-cnn", normalize="none"
    ),
    "denoised": lambda m: MODELS.create(
        "denoised", denoiser={"name": "dncnn", "depth": 3}, classifier="~/model.pt", in_channels=1
    ),
    "denoiser": lambda m: DENOISERS.create("dncnn", depth=3, width=4, weights="~/denoiser.pt"),
    "init_from": lambda m: init_from("~/model.pt", sigma=0.25, num_classes=10),
    "read_vote_labels": lambda m: len(read_vote_labels("~/votes.jsonl", m.data)),
    "read_vote_labels folder": lambda m: len(read_vote_labels("~/run", m.data)),
    "read_log": lambda m: read_log("~/run"),
    "record_files": lambda m: record_files("~/run"),
    "audit_of": lambda m: audit_of("~/run").relative_to(m.home),
    "log_of_run": lambda m: len(log_of_run("~/run") or ()),
    "parse_journal": lambda m: parse_journal("~/votes.jsonl").entries,
    "load_runs": lambda m: load_runs(["~/run"]),
    "report": lambda m: report(["~/run"], tolerant=[Path("~/run")]),
    "collect": lambda m: collect("~/run").logs,
    "examine": lambda m: examine("~/run"),
    "npz": lambda m: load_dataset("npz", path="~/d.npz"),
    "read_classes": lambda m: read_classes("~/classes.txt"),
    "preset": lambda m: load_preset("~/mine.yaml").arms,
    "ablation": lambda m: ablation(load_preset("digits"), "~/mine.yaml").arms,
    "report_runs": lambda m: report_runs([Path("~/run")], title="t"),
}


@pytest.mark.parametrize("what", READERS)
def test_what_is_in_the_home_folder_is_read(what: str, made: Made) -> None:
    found = READERS[what](made)
    assert found not in (None, 0, [])


@pytest.mark.parametrize(
    "name", ["cifar10", "cifar100", "mnist", "fashion-mnist", "svhn", "stl10", "folder", "imagenet"]
)
def test_data_sets_are_looked_for_in_the_home_folder(name: str, made: Made) -> None:
    with pytest.raises(FileNotFoundError, match=str(made.home / "none")):
        load_dataset(name, root="~/none")


def test_tiny_imagenet_is_looked_for_in_the_home_folder(made: Made) -> None:
    with pytest.raises(FileNotFoundError, match=str(made.home / "none")):
        load_dataset("tiny-imagenet", root="~/none")


@pytest.mark.parametrize("written", [["--run=~/a"], ["--run", "~/a"], ["~/a"]])
def test_options_of_the_command_line_may_begin_with_it(written: list[str], made: Made) -> None:
    assert parse("train", [*written, "--sigma=0.25"])["run"] == made.home / "a"


def test_lists_and_files_of_options_may_have_it(made: Made) -> None:
    assert paths(["~/a", "b"]) == (made.home / "a", Path("b"))
    (made.home / "options.yaml").write_text("run: ~/a\nearlier: [~/b]\n")
    read = parse("train", ["--config=~/options.yaml"])
    assert (read["run"], read["earlier"]) == (made.home / "a", (made.home / "b",))


def test_texts_of_a_preset_are_paths_where_a_verb_wants_paths(made: Made) -> None:
    def verb(run: Path, more: Sequence[Path] = (), name: str = "") -> Any:
        return run, more, name

    found = call(verb, {"run": "~/a", "more": ["~/b"], "name": "~/c"})
    assert found == (made.home / "a", (made.home / "b",), "~/c")


def test_options_of_the_harness_may_begin_with_it(made: Made) -> None:
    options = harness._parser().parse_args(["run", "digits", "--out=~/a", "--data=~/b"])
    assert (options.out, options.data) == (made.home / "a", made.home / "b")
    options = harness._parser().parse_args(["report", "~/a", "--html=~/b", "--out=~/c"])
    assert [options.folders, options.html, options.out] == [
        [made.home / "a"],
        *(made.home / name for name in "bc"),
    ]


def test_no_option_of_a_measurement_takes_a_path_as_it_is_written() -> None:
    """Each has a parser of its own. An arm gets its folder from the runner, not from a user."""
    sources = Path(rsmooth.__file__).parent.rglob("*.py")
    assert [each.name for each in sources if "type=Path" in each.read_text("utf-8")] == ["arm.py"]
