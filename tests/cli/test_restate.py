"""``rsmooth restate``: new certificates from stored votes, and what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth import MODELS, SmoothedClassifier
from rsmooth.certify import read_log
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.cli import main
from rsmooth.records.journal import Journal

HEADER = {
    "sigma": 0.5,
    "n0": 10,
    "n": 1000,
    "alpha": 0.001,
    "mode": "fixed",
    "target": "predict",
    "seed": 0,
    "noise": {"kind": "grid", "total_variation": 0.0},
}
HITS = [1000, 990, 700, 540]  # for class 1, the label; the last abstains


def write_run(folder: Path, hits: list[int], **change: Any) -> Path:
    """A run folder whose image k gave hits[k] of n votes to class 1, chosen by its selection."""
    header = {**HEADER, **change}
    n = header["n"]
    folder.mkdir(exist_ok=True)
    with Journal(folder / "certificates.jsonl", header) as journal:
        for idx, votes in enumerate(hits):
            radius = radius_from_counts(votes, n, 0.5, header["alpha"])
            journal.append(
                "image",
                {
                    "idx": idx,
                    "label": 1,
                    "predict": 1 if radius else -1,
                    "radius": radius,
                    "correct": bool(radius),
                    "seconds": 0.5,
                    "selection": [2, 8],
                    "n": n,
                    "invalid": 0,
                    "counts": [n - votes, votes],
                },
            )
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", HITS)


def radii(hits: list[int], n: int, alpha: float) -> list[float]:
    return [radius_from_counts(votes, n, 0.5, alpha) for votes in hits]


def restate(*argv: object) -> int:
    return main(["restate", *map(str, argv)])


def error_of(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """The one line that a refused command prints."""
    capsys.readouterr()
    assert restate(*argv) == 2
    captured = capsys.readouterr()
    assert (captured.err.count("\n"), captured.out) == (1, "")
    return captured.err


def test_another_alpha_is_printed_beside_the_run_and_written_to_a_table(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    out = tmp_path / "loose.tsv"
    assert restate(run, "--alpha", 0.01, "--radii", "0.2,128/256", "--out", out) == 0
    old, new = radii(HITS, 1000, 0.001), radii(HITS, 1000, 0.01)
    lines = capsys.readouterr().out.split("\n")
    assert lines[0].split() == ["certified", "%", "r=0", "r=0.2", "r=0.5", "ACR"]
    assert lines[1].split()[:5] == ["before", "75.0", "50.0", "50.0", f"{np.mean(old):.4f}"]
    assert lines[2].split()[:5] == ["after", "100.0", "75.0", "50.0", f"{np.mean(new):.4f}"]
    log = read_log(out)
    assert log.radius.tolist() == new
    assert log.provenance["alpha"] == 0.01
    assert log.provenance["derived_from"] == [
        {
            "file": "run/certificates.jsonl",
            "sha256": hashlib.sha256(before["certificates.jsonl"]).hexdigest(),
        }
    ]
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before
    assert main(["report", str(out), str(run)]) == 0
    assert "α 0.01, mode fixed" in capsys.readouterr().out


def test_an_unfinished_run_says_so_in_print_and_in_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", HITS, dataset={"name": "mine", "images": 9})
    assert restate(run, "--alpha", 0.01, "--out", tmp_path / "part.tsv") == 0
    assert "Unfinished: only 4 of 9 images are there" in capsys.readouterr().out
    log = read_log(tmp_path / "part.tsv")
    assert log.provenance["unfinished"] == {"images": 4, "of": 9}
    assert main(["report", str(tmp_path / "part.tsv")]) == 0
    assert "unfinished, 4 of 9 images are there" in capsys.readouterr().out
    whole = write_run(tmp_path / "whole", HITS, dataset={"name": "mine", "images": 4})
    assert restate(whole, "--alpha", 0.01) == 0
    assert "Unfinished" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "level", "said"),
    [
        (
            ["--statements", "all"],
            0.001 / 4,
            "Any 4 certificates hold together, each at all radii up to its own, but for a "
            "probability of at most 0.001.",
        ),
        (
            ["--statements", "2", "--alpha", "0.01"],
            0.01 / 2,
            "Any 2 certificates chosen without regard to the votes hold ",
        ),
    ],
)
def test_joint_statements_share_alpha(
    options: list[str],
    level: float,
    said: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert restate(run, *options, "--out", tmp_path / "joint.tsv") == 0
    assert said in capsys.readouterr().out
    log = read_log(tmp_path / "joint.tsv")
    assert log.radius.tolist() == radii(HITS, 1000, level)
    assert log.provenance["statements"] * log.provenance["alpha"] == pytest.approx(
        0.01 if "0.01" in options else 0.001
    )


@pytest.mark.parametrize(
    ("options", "level", "spent", "said"),
    [
        (["--looked", "false"], 0.001, 0.001, "were decided on before any result was seen"),
        (
            ["--looked", "false", "--alpha", "0.01", "--statements", "all"],
            0.0025,
            0.0025,
            "Any 4 certificates hold",
        ),
        (
            ["--looked", "true", "--alpha", "0.003"],
            0.002,
            0.003,
            "fail with probability at most 0.003, if the number",
        ),
    ],
)
def test_more_samples_are_pooled(
    options: list[str],
    level: float,
    spent: float,
    said: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = write_run(tmp_path / "more", [500, 500, 400, 300], n=500, seed=1) / "certificates.jsonl"
    assert restate(run, "--append", more, *options, "--out", tmp_path / "pooled.tsv") == 0
    assert said in capsys.readouterr().out
    log = read_log(tmp_path / "pooled.tsv")
    assert log.radius.tolist() == radii([1500, 1490, 1100, 840], 1500, level)
    assert [each["file"] for each in log.provenance["derived_from"]] == [
        "run/certificates.jsonl",
        "more/certificates.jsonl",
    ]
    assert (log.provenance["n"], log.provenance["seeds"]) == (1500, [0, 1])
    assert log.provenance["looked"] is (options[1] == "true")
    assert log.provenance["alpha_spent"] == pytest.approx(spent)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "expected --alpha, --statements or --append, got none of them"),
        (["--alpha", "2"], "expected a failure probability alpha in (0, 1), got 2.0"),
        (["--alpha", "1e-300"], "expected alpha >= 1e-200"),
        (["--statements", "0"], "expected at least one statement, got 0"),
        (["--statements", "2.5"], "expected --statements to be a whole number or all, got '2.5'"),
        (["--append", "more"], "add --looked true if any result"),
        (["--looked", "true"], "expected --append and --looked together"),
        (
            ["--append", "more", "--looked", "true"],
            "expected the total alpha for a retest after a look",
        ),
        (
            ["--append", "more", "--looked", "true", "--alpha", "0.001"],
            "nothing is left for the retest",
        ),
        (
            ["--append", "more", "--looked", "true", "--alpha", "0.01", "--statements", "2"],
            "cannot be made joint",
        ),
        (["--append", "run", "--looked", "false"], "expected fresh noise, got seed 0 in both runs"),
        (["--append", "fewer", "--looked", "false"], "4 and 3 images"),
        (["--append", "nowhere", "--looked", "false"], "No such file or directory"),
        (["--append", "table.tsv", "--looked", "false"], "expected a log with vote counts"),
        (
            ["--append", "sequential", "--looked", "false"],
            "got mode='grid'; its votes stopped where they decided",
        ),
    ],
)
def test_what_the_votes_do_not_show_is_refused(
    options: list[str],
    said: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "more", HITS, seed=1)
    write_run(tmp_path / "fewer", HITS[:3], seed=1)
    write_run(tmp_path / "sequential", HITS, seed=1, mode="grid")
    assert restate("more", "--alpha", 0.01, "--out", "table.tsv") == 0
    assert said in error_of(capsys, run, *options, "--out", tmp_path / "new.tsv")
    assert not (tmp_path / "new.tsv").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("table.tsv", "published tables do not hold them"),
        ("sequential", "certify again with mode='fixed'"),
        ("nowhere", "No such file or directory: nowhere"),
        ("empty", "certify the model first"),
    ],
)
def test_records_without_fixed_votes_are_refused(
    source: str,
    said: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "sequential", HITS, mode="radius")
    (tmp_path / "empty").mkdir()
    assert restate("run", "--alpha", 0.01, "--out", "table.tsv") == 0
    assert said in error_of(capsys, source, "--alpha", 0.01)


def test_no_record_is_ever_overwritten(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "grid.jsonl").write_text("")
    (run / "rest.rank0-of-2.jsonl").write_text("")
    (tmp_path / "old.tsv").write_text("")
    (tmp_path / "half.tsv.json").write_text("")
    for out, said in (
        (run / "certificates.tsv", "where rsmooth certify writes"),
        (run / "grid.tsv", "where rsmooth"),
        (run / "rest.tsv", "where rsmooth certify writes"),
        (tmp_path / "old.tsv", "is there already"),
        (tmp_path / "half.tsv", "is there already"),
        (run / "certificates.jsonl", "ends in .tsv"),
        (tmp_path / "no" / "x.tsv", "make the folder first"),
    ):
        assert said in error_of(capsys, run, "--alpha", 0.01, "--out", out)
    assert sorted(path.name for path in run.iterdir()) == [
        "certificates.jsonl",
        "grid.jsonl",
        "rest.rank0-of-2.jsonl",
    ]
    assert restate(run, "--alpha", 0.01, "--out", run / "g.tsv") == 0  # beside grid.jsonl


def test_a_run_is_extended_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """certify, certify --extends, restate: the votes of both runs, and an early refusal."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=4)
    SmoothedClassifier(base, 0.25, 10).eval().save("model.pt")
    certify = [
        "certify",
        "model.pt",
        "--dataset",
        "digits",
        "--max",
        "3",
        "--n0",
        "10",
        "--workers",
        "1",
        "--progress",
        "false",
        "--n",
    ]
    assert main([*certify, "100", "--batch_size", "64", "--out", "first.jsonl"]) == 0
    more = [*certify, "300", "--extends", "first.jsonl", "--out", "more.jsonl"]
    capsys.readouterr()
    assert main(more) == 2
    assert "expected fresh noise, got seed 0 in both runs" in capsys.readouterr().err
    assert not Path("more.jsonl").exists()
    assert main([*more, "--seed", "1"]) == 0
    assert (
        restate("first.jsonl", "--append", "more.jsonl", "--looked", "false", "--out", "both.tsv")
        == 0
    )
    first, second, both = (read_log(name) for name in ("first.jsonl", "more.jsonl", "both.tsv"))
    assert first.counts is not None
    assert first.selection is not None
    assert second.counts is not None
    tested = first.selection.argmax(axis=1)
    hits = (first.counts + second.counts)[np.arange(3), tested]
    variation = first.provenance["noise"]["total_variation"]
    assert both.radius.tolist() == [
        radius_from_counts(votes, 400, 0.25, 0.001, total_variation=variation)
        for votes in hits.tolist()
    ]
    assert json.loads(Path("both.tsv.json").read_text())["provenance"]["numerics"]["batch"] == 64
