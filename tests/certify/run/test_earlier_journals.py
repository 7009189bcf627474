"""Journals that an earlier version left are read and go on, with the votes that they hold.

Two fixtures are runs of release 0.1.0 before noise was a distribution, cut off while the third of
four images was drawn. Two more are of sequential modes before their design could change. What those
versions then certified is written down below.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.certify import (
    CertificationLog,
    CertifySettings,
    append_samples,
    certify_dataset,
    recertify,
)
from rsmooth.certify.proof.designs import FIRST_DESIGN, SequentialDesign
from rsmooth.certify.run.header import is_hash_of
from rsmooth.certify.votes import profile
from rsmooth.certify.votes.pool import VotePool
from rsmooth.data import ImageData
from rsmooth.plumbing.errors import RecordError
from rsmooth.records import upgrade
from rsmooth.records.files import read_log
from rsmooth.records.journal import Journal, parse_journal
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import PixelAbove

FIXTURES = Path(__file__).parents[1] / "fixtures"
SETTINGS = CertifySettings(n0=10, n=120, batch_size=16, precision="float32", compile="never")
COUNTS = {
    "integer": [[118, 2], [79, 41], [24, 96], [3, 117]],
    "float": [[117, 3], [86, 34], [27, 93], [5, 115]],
}
RADII = {
    "integer": [
        0.33510745592986646,
        0.009004552211712726,
        0.10853091019443872,
        0.3142350411219709,
    ],
    "float": [
        0.3142350411219709,
        0.04775915899552814,
        0.08936448476676107,
        0.28074854922881953,
    ],
}


SEQUENTIAL: dict[str, dict[str, Any]] = {
    "radius": {"mode": "radius", "radius": 0.1},
    "grid": {"mode": "grid", "radii": (0.0, 0.1, 0.3)},
}
SAMPLES = {"radius": [32, 2000, 64, 32], "grid": [128, 2000, 91, 128]}
HELD = {"radius": [0.1, 0.0, 0.1, 0.1], "grid": [0.3, 0.0, 0.1, 0.3]}
VOTES = {
    "radius": [[32, 0], [1358, 642], [7, 57], [1, 31]],
    "grid": [[126, 2], [1358, 642], [19, 72], [3, 125]],
}


def classifier() -> SmoothedClassifier:
    return SmoothedClassifier(PixelAbove(), 0.25, 2)


def four() -> ImageData:
    levels = torch.tensor([16, 100, 180, 240], dtype=torch.uint8)
    images = levels.view(4, 1, 1, 1).expand(4, 1, 2, 2).contiguous()
    return ImageData(
        images, torch.tensor([0, 0, 1, 1]), torch.arange(4) * 10 + 3, 2, "steps", "test"
    )


@pytest.fixture(params=["integer", "float"])
def arithmetic(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def folder(arithmetic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(profile, "_processor", lambda *_: "a processor")
    return laid_out(arithmetic, tmp_path)


def laid_out(name: str, folder: Path) -> Path:
    """The earlier journal, as though this machine and this torch had written it."""
    contents = parse_journal(FIXTURES / f"before-{name}.jsonl")
    assert contents.header is not None
    numerics = {**contents.header["numerics"], "torch": torch.__version__}
    with Journal(folder / "certificates.jsonl", {**contents.header, "numerics": numerics}) as new:
        for entry in contents.entries:
            new.append(entry.kind, entry.data)
    return folder


def go_on(folder: Path, **change: Any) -> CertificationLog:
    settings = CertifySettings(**{**vars(SETTINGS), **change})
    return certify_dataset(classifier(), four(), folder, settings, workers=1, progress=False)


def test_fixtures_are_cut_off_in_the_middle_of_an_image(arithmetic: str) -> None:
    entries = parse_journal(FIXTURES / f"before-{arithmetic}.jsonl").entries
    assert {entry.kind for entry in entries} == {"image", "look"}
    assert [entry.data["idx"] for entry in entries if entry.kind == "image"] == [3, 13]
    assert entries[-1].data["idx"] == 23
    assert entries[-1].data["reached"] >= 16


def test_it_ends_as_the_earlier_version_would_have_ended_it(
    folder: Path, arithmetic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[int, int]] = []
    count = VotePool.count

    def watching(self: VotePool, work: Any) -> Any:
        drawn.extend((piece.image_id, piece.start) for piece in work if piece.purpose != "select")
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", watching)
    partial = parse_journal(folder / "certificates.jsonl").entries[-1].data
    log = go_on(folder, arithmetic=arithmetic)
    assert log.counts is not None
    assert log.counts.tolist() == COUNTS[arithmetic]
    assert log.radius.tolist() == RADII[arithmetic]
    assert {idx for idx, _ in drawn} == {23, 33}, "finished images draw no vote"
    assert min(start for idx, start in drawn if idx == 23) == partial["reached"]
    kinds = {entry.kind for entry in parse_journal(folder / "certificates.jsonl").entries}
    assert kinds >= {"image", "look"}


def test_a_new_rank_beside_it_is_of_the_same_configuration(
    folder: Path, arithmetic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two journals of two versions: read together, merged into one record."""
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        log = go_on(folder, arithmetic=arithmetic)
    assert log.radius.tolist() == RADII[arithmetic]
    assert log.provenance["noise"]["arithmetic"] == arithmetic
    assert log.provenance["statement"]["norm"] == "l2"
    new = parse_journal(folder / "certificates.rank0-of-2.jsonl").header
    assert new is not None
    assert new["noise"]["distribution"] == {"name": "gaussian", "sigma": 0.25}
    assert "sound in floating point" not in new["noise"]


def test_another_noise_is_refused_in_the_words_of_now(folder: Path, arithmetic: Any) -> None:
    other = {"integer": "float", "float": "integer"}[arithmetic]
    with pytest.raises(RecordError, match=rf'noise\.arithmetic \("{arithmetic}", here "{other}"\)'):
        go_on(folder, arithmetic=other)


def test_earlier_records_are_restated_and_extended(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "before-integer.jsonl", tmp_path / "certificates.jsonl")
    log = read_log(tmp_path)
    again = recertify(log, alpha=0.001)
    assert again.radius.tolist() == log.radius.tolist()
    assert (recertify(log, alpha=0.01).radius > log.radius).all()
    assert recertify(log, alpha=0.01).provenance["statement"]["alpha"] == 0.01
    data = four().subset([0, 1])
    more = certify_dataset(
        classifier(),
        data,
        tmp_path / "more",
        CertifySettings(n0=10, n=120, seed=1, batch_size=16, precision="float32", compile="never"),
        workers=1,
        progress=False,
    )
    # as though it had certified these two images on this machine, by a hash that covers options
    assert is_hash_of(log.provenance["model"]["hash"], classifier())
    shared = {key: more.provenance[key] for key in ("numerics", "dataset", "model")}
    log = replace(log, provenance={**log.provenance, **shared})
    pooled = append_samples(log, more, looked=False)
    assert log.counts is not None
    assert more.counts is not None
    assert np.array_equal(pooled.counts, log.counts + more.counts)


@pytest.mark.parametrize("mode", sorted(SEQUENTIAL))
def test_a_sequential_run_ends_by_the_rule_that_it_began_with(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profile, "_processor", lambda *_: "a processor")
    folder = laid_out(mode, tmp_path)
    change = {**SEQUENTIAL[mode], "n0": 100, "n": 2000}
    log = go_on(folder, **change)
    assert log.samples is not None
    assert log.counts is not None
    assert log.samples.tolist() == SAMPLES[mode]
    assert log.radius.tolist() == HELD[mode]
    assert log.counts.tolist() == VOTES[mode]
    assert log.provenance["design"] == FIRST_DESIGN.record()
    with pytest.raises(RecordError, match=r"design\.growth \(1\.414\d*, here 1\.2\)"):
        go_on(folder, **change, design=SequentialDesign())


@pytest.mark.parametrize("mode", sorted(SEQUENTIAL))
def test_a_new_sequential_run_names_its_design_and_keeps_it(mode: str, tmp_path: Path) -> None:
    ours = SequentialDesign(growth=1.5, selection=(8,), lead=7)
    change = {**SEQUENTIAL[mode], "n0": 100, "n": 2000}
    log = go_on(tmp_path, **change, design=ours)
    assert log.provenance["design"] == ours.record()
    assert parse_journal(tmp_path / "certificates.jsonl").header["design"] == ours.record()  # type: ignore[index]
    assert go_on(tmp_path, **change).provenance["design"] == ours.record(), "without naming it"
    images = [e.data for e in parse_journal(tmp_path / "certificates.jsonl").entries]
    assert {image["n0"] for image in images if "looks" in image} == {8, 100}
    assert "design" not in go_on(tmp_path / "fixed").provenance


def test_the_design_of_another_rank_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ranks began, one of them wrote nothing, and one process goes on."""
    ours = SequentialDesign(growth=1.5, selection=(8,), lead=7)
    change = {**SEQUENTIAL["radius"], "n0": 100, "n": 2000}
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    begun = go_on(tmp_path, **change, design=ours)
    assert len(begun) == 2
    monkeypatch.delenv("RANK")
    monkeypatch.delenv("WORLD_SIZE")
    assert go_on(tmp_path, **change).provenance["design"] == ours.record()


def test_the_first_design_is_the_one_of_records_without() -> None:
    assert SequentialDesign.of_record(upgrade.FIRST_DESIGN) == FIRST_DESIGN
