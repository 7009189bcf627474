"""Certifying a data set: workers, ranks, kills and resumes all end in the same record."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth.certify import (
    CertificationLog,
    CertifySettings,
    append_samples,
    certify_dataset,
    dataset,
    engine,
    read_log,
    stream,
    workers,
)
from rsmooth.certify.certification_log import VOTES
from rsmooth.certify.cohen import certify
from rsmooth.certify.dataset import model_hash
from rsmooth.certify.journal import Journal, parse_journal
from rsmooth.certify.points import noisy_images
from rsmooth.certify.pool import Slice, VotePool
from rsmooth.data import ImageData
from rsmooth.errors import LockedError, RecordError
from rsmooth.files import CRASH_VARIABLE
from rsmooth.locking import FileLock
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import images, small_net
from tests.processes import PROCESSES

SETTINGS = CertifySettings(n0=20, n=300, batch_size=32, precision="float32", compile="never")


def seven() -> ImageData:
    """Seven images with an index that is not their position."""
    return ImageData(images(7), torch.tensor([0, 1, 2, 3, 0, 1, 2]), torch.arange(7) * 20 + 3, 4, "random", "test")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> CertificationLog:
    """The record of an undisturbed single-process run."""
    return certify_dataset(small_net(), seven(), tmp_path_factory.mktemp("reference"), SETTINGS, workers=1,
                           progress=False)


def run_in_process(folder: Path, count: int, environment: dict[str, str]) -> None:
    """What every process of these tests does: certify the seven images."""
    torch.set_num_threads(1)
    engine.MOST_PASSES = 1  # many rounds, so that a kill meets one of them
    stream.CHECKPOINT_SECONDS = 0.0
    os.environ.update(environment)
    certify_dataset(small_net(), seven(), folder, SETTINGS, workers=count, progress=False)


def launch(folder: Path, count: int = 1, **environment: str) -> Any:
    process = PROCESSES.Process(target=run_in_process, args=(folder, count, environment))
    process.start()
    return process


def exit_codes(*processes: Any) -> list[int]:
    for process in processes:
        process.join(timeout=120)
    return [process.exitcode for process in processes]


def same(log: CertificationLog, reference: CertificationLog) -> bool:
    """Equal in everything but the time."""
    return all(np.array_equal(getattr(log, name), getattr(reference, name))
               for name in ("idx", "label", "predict", "radius", "correct", *VOTES))


def test_record_holds_what_certify_returns(reference: CertificationLog, tmp_path: Path) -> None:
    data = seven()
    result = certify(small_net(), data.images, index=data.index, n0=20, n=300, batch_size=100)
    assert np.array_equal(reference.predict, result.label.numpy())
    assert np.array_equal(reference.radius, result.radius.numpy())
    assert np.array_equal(reference.counts, result.counts.numpy())
    assert np.array_equal(reference.selection, result.selection.numpy())
    assert reference.idx.tolist() == data.index.tolist()
    assert (reference.time > 0).all()
    assert reference.provenance["sigma"] == 0.25
    assert reference.provenance["numerics"]["dtype"] == "float32"
    assert reference.provenance["dataset"]["shape"] == list(data.images.shape[1:])


def test_table_and_provenance_are_exported(tmp_path: Path, reference: CertificationLog) -> None:
    log = certify_dataset(small_net(), seven(), tmp_path / "run", SETTINGS, workers=1, progress=False,
                          provenance={"model": {"path": "somewhere"}, "note": "by hand"})
    assert same(log, reference)
    assert read_log(tmp_path / "run" / "certificates.tsv").provenance["model"]["path"] == "somewhere"
    assert same(read_log(tmp_path / "run"), reference)
    with pytest.raises(ValueError, match="'sigma' again"):
        certify_dataset(small_net(), seven(), tmp_path / "other", SETTINGS, provenance={"sigma": 1})


def test_a_larger_n_keeps_the_first_votes(tmp_path: Path, reference: CertificationLog) -> None:
    """A longer run holds the votes of the shorter one, and beside them those of its further samples, counted apart."""
    longer = certify_dataset(small_net(), seven(), tmp_path, replace(SETTINGS, n=500), workers=1, progress=False)
    data, noise = seven(), noisy_images("grid", 0.25, SETTINGS.seed, torch.Size((1, 4, 4)))
    pool = engine.open_pool(small_net(), noise, torch.Size((1, 4, 4)), SETTINGS, 1.0)
    rest = pool.count([Slice("estimate", image, index, 300, 500)
                       for image, index in zip(data.images, data.index.tolist(), strict=True)])
    assert reference.counts is not None
    assert np.array_equal(longer.counts, reference.counts + rest[:, :-1])
    assert np.array_equal(longer.selection, reference.selection)
    with pytest.raises(RecordError, match="got seed 0 in both runs; the same votes would count twice"):
        append_samples(reference, longer, looked=False)


class TestExtension:
    """Further samples for an earlier run: of its numerics, or refused before the first vote."""

    def test_takes_over_the_numerics_and_can_be_appended(self, tmp_path: Path, reference: CertificationLog) -> None:
        plain = CertifySettings(n0=20, n=200, seed=1)
        more = certify_dataset(small_net(), seven(), tmp_path, plain, workers=1, progress=False, extends=reference)
        assert more.provenance["numerics"] == reference.provenance["numerics"]
        assert more.provenance["numerics"]["batch"] == 32  # not what this run would have chosen
        pooled = append_samples(reference, more, looked=False)
        assert np.array_equal(pooled.counts, reference.counts + more.counts)
        assert pooled.provenance["n"] == 500
        assert same(certify_dataset(small_net(), seven(), tmp_path, plain, workers=1, progress=False), more)

    @pytest.mark.parametrize(("change", "reason"), [
        ({}, "got seed 0 in both runs"),
        ({"seed": 1, "mode": "anytime", "tolerance": 0.1}, "got mode='anytime'"),
        ({"seed": 1, "batch_size": 64}, r"differ in numerics\.batch \(32, here 64\)"),
    ])
    def test_what_could_not_be_appended_draws_no_vote(self, change: dict[str, Any], reason: str, tmp_path: Path,
                                                      reference: CertificationLog,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(VotePool, "count", lambda self, work: pytest.fail("a vote was drawn"))
        with pytest.raises(RecordError, match=reason):
            certify_dataset(small_net(), seven(), tmp_path, replace(SETTINGS, **change), workers=1, progress=False,
                            extends=reference)
        assert not list(tmp_path.iterdir())


def test_finished_run_draws_no_vote_again(tmp_path: Path, reference: CertificationLog,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)

    def forbidden(self: VotePool, work: list[Any]) -> Any:
        assert not work
        return np.zeros((0, 5))

    monkeypatch.setattr(VotePool, "count", forbidden)
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


def interrupted(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    """Let the pool raise KeyboardInterrupt after so many rounds; rounds of one pass."""
    count, left = VotePool.count, iter(range(rounds))

    def counting(self: VotePool, work: list[Any]) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)


@pytest.mark.parametrize("rounds", [1, 3, 9, 30])
def test_interrupt_keeps_every_vote(rounds: int, tmp_path: Path, reference: CertificationLog,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    with monkeypatch.context() as patch:
        interrupted(patch, rounds)
        with pytest.raises(KeyboardInterrupt):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    drawn: list[int] = []
    count = VotePool.count

    def counting(self: VotePool, work: list[Any]) -> Any:
        drawn.append(sum(piece.stop - piece.start for piece in work))
        return count(self, work)

    monkeypatch.setattr(VotePool, "count", counting)
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)
    assert sum(drawn) == 7 * 320 - rounds * 32


def test_votes_of_unfinished_images_are_journaled_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_PASSES", 1)
    monkeypatch.setattr(stream, "CHECKPOINT_SECONDS", 0.0)
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    looks = [entry.data for entry in parse_journal(tmp_path / "certificates.jsonl").entries if entry.kind == "look"]
    assert len(looks) > 50
    assert all(sum(look["votes"]) == look["reached"] for look in looks if look["reached"])


@pytest.mark.parametrize("point", ["before-append:1", "mid-append:1", "after-append:1", "before-append:5",
                                   "mid-append:5", "after-append:8"])
def test_death_at_a_write_is_recovered_from(point: str, tmp_path: Path, reference: CertificationLog) -> None:
    assert exit_codes(launch(tmp_path, **{CRASH_VARIABLE: point})) == [137]
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


def test_workers_and_ranks_agree_and_resume_each_other(tmp_path: Path, reference: CertificationLog) -> None:
    """Three ranks, one killed in the middle of a write; then two workers; then a single process has nothing to do."""
    ranks = [launch(tmp_path, RANK=str(rank), WORLD_SIZE="3", **({CRASH_VARIABLE: "mid-append:3"} if rank == 1 else {}))
             for rank in range(3)]
    assert exit_codes(*ranks) == [0, 137, 0]
    assert not (tmp_path / "certificates.tsv").exists()
    assert 5 <= len(read_log(tmp_path)) < 7
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False), reference)
    assert (tmp_path / "certificates.tsv").exists()
    names = {path.name for path in tmp_path.glob("certificates*.jsonl")}
    assert names == {"certificates.jsonl", *(f"certificates.rank{rank}-of-3.jsonl" for rank in range(3))}


def test_workers_certify_as_one_process_does(tmp_path: Path, reference: CertificationLog) -> None:
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False), reference)


def test_killed_run_with_workers_resumes_with_two_ranks(tmp_path: Path, reference: CertificationLog) -> None:
    parent = launch(tmp_path, 2)
    journal = tmp_path / "certificates.jsonl"
    wait_for(lambda: journal.exists() and journal.stat().st_size > 0)
    workers_of_parent = children(parent.pid)
    parent.kill()
    assert exit_codes(parent) == [-signal.SIGKILL]
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers_of_parent))
    ranks = [launch(tmp_path, RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    assert exit_codes(*ranks) == [0, 0]
    assert (tmp_path / "certificates.tsv").exists()
    assert same(read_log(tmp_path), reference)


def children(pid: int) -> list[int]:
    """The processes that a process has started, where the system tells."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def test_kills_at_random_times_lose_nothing(tmp_path: Path, reference: CertificationLog) -> None:
    moments = random.Random(0)
    for _ in range(6):
        process = launch(tmp_path)
        process.join(moments.uniform(0.0, 0.6))
        process.kill()
        process.join()
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


def run_on_a_small_disk(folder: Path, room: int) -> None:
    """The run of these tests, where no file can grow beyond ``room`` bytes; 28 as exit status where that is said."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    try:
        run_in_process(folder, 1, {})
    except OSError as error:
        os._exit(28 if "certificates" in str(error) else 1)


@pytest.mark.parametrize("room", [700, 1500, 3000])
def test_full_disk_is_an_error_and_the_next_start_goes_on(room: int, tmp_path: Path,
                                                          reference: CertificationLog) -> None:
    process = PROCESSES.Process(target=run_on_a_small_disk, args=(tmp_path, room))
    process.start()
    assert exit_codes(process) == [28]
    journal = tmp_path / "certificates.jsonl"
    assert journal.stat().st_size <= room
    assert not parse_journal(journal).torn_bytes
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


@pytest.mark.parametrize("started", [False, True])
def test_read_only_folder_is_an_error_and_stays_as_it_was(started: bool, tmp_path: Path, reference: CertificationLog,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    if started:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "MOST_PASSES", 1)
            interrupted(patch, 20)
            with pytest.raises(KeyboardInterrupt):
                certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    open_file = os.open

    def read_only(path: Any, flags: int, *mode: Any, **options: Any) -> int:  # root may write anywhere
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return open_file(path, flags, *mode, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        with pytest.raises(OSError, match=rf"Read-only file system: '{tmp_path}"):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


@pytest.mark.parametrize("renames", [0, 1])
def test_table_that_could_not_be_written_is_written_by_the_next_start(renames: int, tmp_path: Path,
                                                                      reference: CertificationLog,
                                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before nor between the table and its provenance is there a moment that loses or mixes anything."""
    replace, left = os.replace, iter(range(renames))

    def failing(source: Any, target: Any) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match=r"No space left on device; nothing was written: .*certificates\.tsv"):
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert same(read_log(tmp_path), reference)
    assert not (tmp_path / "certificates.tsv").exists()
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    assert np.array_equal(read_log(tmp_path / "certificates.tsv").radius, reference.radius)


def test_every_second_image_has_the_certificate_that_it_has_among_all(tmp_path: Path,
                                                                      reference: CertificationLog) -> None:
    log = certify_dataset(small_net(), seven().subset([0, 2, 4, 6]), tmp_path, SETTINGS, workers=1, progress=False)
    assert log.idx.tolist() == reference.idx[::2].tolist()
    assert all(np.array_equal(getattr(log, name), getattr(reference, name)[::2]) for name in ("radius", *VOTES))


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_second_writer_is_locked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "PATIENCE_SECONDS", 0.0)
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    journal = tmp_path / "certificates.jsonl"
    header = parse_journal(journal).header
    assert header is not None
    with Journal(journal, header), pytest.raises(LockedError):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)


def test_what_another_writer_finished_in_the_meantime_is_not_done_again(tmp_path: Path, reference: CertificationLog,
                                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a benchmark is started again while the arms of a killed one are still saving."""
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    journal = tmp_path / "certificates.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: whole.index(b"\n") + 1])
    lock = FileLock(journal)

    def finish() -> None:
        journal.write_bytes(whole)
        lock.release()

    monkeypatch.setattr(VotePool, "count", lambda self, work: np.zeros((len(work), 5)) if not work else 1 / 0)
    threading.Timer(0.5, finish).start()
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)
    assert journal.read_bytes() == whole


def test_dead_worker_is_reported_and_what_it_earned_is_kept(tmp_path: Path, reference: CertificationLog,
                                                           monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_PROGRAM", "import os; os._exit(3)")
    with pytest.raises(RuntimeError, match="status 3"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=2, progress=False)
    monkeypatch.undo()
    assert same(certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False), reference)


@pytest.mark.parametrize("change", [{"n": 400}, {"alpha": 0.01}, {"seed": 1}, {"n0": 30}, {"noise": "float"},
                                    {"precision": "bfloat16"}, {"batch_size": 16}, {"target": "label"}])
def test_another_configuration_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    other = CertifySettings(**{**vars(SETTINGS), **change})
    with pytest.raises(RecordError, match=next(iter({"precision": "dtype", "batch_size": "batch"}.get(key, key)
                                                    for key in change))):
        certify_dataset(small_net(), seven(), tmp_path, other, workers=1, progress=False)


def test_another_model_or_other_images_are_refused(tmp_path: Path) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    other = small_net()
    with torch.no_grad():
        next(other.base.parameters()).add_(1e-3)
    with pytest.raises(RecordError, match=r"model\.hash"):
        certify_dataset(other, seven(), tmp_path, SETTINGS, workers=1, progress=False)
    with pytest.raises(RecordError, match=r"dataset\.(fingerprint|images|index).*write to another journal .*--out"):
        certify_dataset(small_net(), seven().subset([0, 1]), tmp_path, SETTINGS, workers=1, progress=False)


def test_run_goes_on_with_the_numerics_of_its_record(tmp_path: Path) -> None:
    """What "auto" would choose anew does not matter once votes are there."""
    choice = CertifySettings(n0=20, n=300, batch_size=32, precision="bfloat16")
    certify_dataset(small_net(), seven().subset([0, 1, 2]), tmp_path, choice, workers=1, progress=False)
    auto = CertifySettings(n0=20, n=300)
    log = certify_dataset(small_net(), seven().subset([0, 1, 2]), tmp_path, auto, workers=1, progress=False)
    assert log.provenance["numerics"]["dtype"] == "bfloat16"
    assert log.provenance["numerics"]["batch"] == 32


def forge(folder: Path, header: dict[str, Any] | None = None, **look: Any) -> None:
    """A sound journal with another header, or with votes of an unfinished image, as another program may write it."""
    path = folder / "certificates.jsonl"
    contents = parse_journal(path)
    assert contents.header is not None
    path.unlink()
    with Journal(path, {**contents.header, **(header or {})}) as journal:
        if look:
            journal.append("look", {"idx": 3, "answers": [], "reached": 32, "votes": [30, 2, 0, 0, 0], "seconds": 1.0,
                                    **look})


@pytest.mark.parametrize("change", [{"new": 1}, {"batch": "32"}, {"torch": None}])
def test_a_numerics_profile_of_another_version_is_refused_by_name(change: dict[str, Any], tmp_path: Path,
                                                                  reference: CertificationLog) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    numerics = {**reference.provenance["numerics"], **change}
    forge(tmp_path, {"numerics": {key: value for key, value in numerics.items() if value is not None}})
    with pytest.raises(RecordError, match=r"certificates\.jsonl: expected a numerics profile of device.*--out"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)


@pytest.mark.parametrize(("look", "said"), [
    ({"reached": 33}, "for idx 3 in .*certificates.jsonl .*expected 33 recorded votes, got 32"),
    ({"idx": 4}, "for idx 4 in .*certificates.jsonl"),
    ({"answers": [["estimate", 40, [40, 0, 0, 0, 0]]]}, "for idx 3 in .*certificates.jsonl .*another procedure"),
    ({"answers": 5}, "certificates.jsonl, line 2: expected the votes of an unfinished image, got TypeError"),
    ({"answers": [["estimate"]]}, "certificates.jsonl, line 2: expected the votes of an unfinished image, got Value"),
])
@pytest.mark.parametrize("workers", [1, 2])
def test_votes_of_another_program_are_refused_by_name(look: dict[str, Any], said: str, workers: int,
                                                      tmp_path: Path) -> None:
    certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=1, progress=False)
    forge(tmp_path, **look)
    with pytest.raises(RecordError, match=said):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, workers=workers, progress=False)


def test_damaged_agreement_of_ranks_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for content, said in (("{", "what earlier processes agreed on in"), ("{}", "expected a numerics profile of")):
        (tmp_path / "certificates.numerics.json").write_text(content)
        with pytest.raises(RecordError, match=said) as error:
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, progress=False)
        assert "certificates.numerics.json" in str(error.value)


def test_models_of_the_script_itself_stay_in_one_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Local(nn.Linear):
        __module__ = "__main__"

    g = SmoothedClassifier(nn.Sequential(nn.Flatten(), Local(16, 4)), 0.25, 4)
    with pytest.raises(ValueError, match="importable classes"):
        certify_dataset(g, seven(), tmp_path, SETTINGS, workers=2, progress=False)
    monkeypatch.setattr(dataset, "WORKERS_WORTH_SECONDS", 0.0)
    assert len(certify_dataset(g, seven(), tmp_path, SETTINGS, progress=False)) == 7


@pytest.fixture(autouse=True)
def outside_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", CRASH_VARIABLE):
        monkeypatch.delenv(name, raising=False)


def test_rank_out_of_range_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK < WORLD_SIZE"):
        certify_dataset(small_net(), seven(), tmp_path, SETTINGS, progress=False)


def test_first_proposal_of_numerics_wins(tmp_path: Path) -> None:
    from rsmooth.certify.shards import agree

    path = tmp_path / "numerics.json"
    assert agree(path, {"dtype": "a"}) == {"dtype": "a"}
    assert agree(path, {"dtype": "b"}) == {"dtype": "a"}
    assert json.loads(path.read_text()) == {"dtype": "a"}
    assert list(tmp_path.iterdir()) == [path]


def test_another_architecture_of_the_same_weights_is_another_model() -> None:
    g, other = small_net(), small_net()
    assert model_hash(g) == model_hash(other)
    other.base[2] = nn.GELU()
    assert model_hash(g) != model_hash(other)
    hidden = small_net()
    hidden.base[2].register_buffer("shift", torch.zeros(1), persistent=False)
    shifted = small_net()
    shifted.base[2].register_buffer("shift", torch.ones(1), persistent=False)
    assert model_hash(hidden) != model_hash(shifted)
