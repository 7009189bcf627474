"""The journals of one run: found, read together, merged, and one agreement for all."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rsmooth.certify import (
    CertificationLog,
    certify_dataset,
    read_log,
)
from rsmooth.certify.proof.designs import PRESENT_DESIGN
from rsmooth.certify.run.shards import Shards, agree, profile_of
from rsmooth.certify.votes.requests import VoteRequest
from rsmooth.certify.votes.schedule import Drawn
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.locking import FileLock
from rsmooth.plumbing.parallel import rank_and_world
from rsmooth.records import journal
from rsmooth.records.journal import Journal
from rsmooth.records.votes import compact
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, seven


def test_first_proposal_of_numerics_wins(tmp_path: Path) -> None:
    path = tmp_path / "numerics.json"
    assert agree(path, {"dtype": "a"}) == {"dtype": "a"}
    assert agree(path, {"dtype": "b"}) == {"dtype": "a"}
    assert json.loads(path.read_text()) == {"dtype": "a"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_proposal_waits_for_one_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "numerics.json"
    first = FileLock(path)

    def write() -> None:
        path.write_text('{"dtype": "a"}')
        first.release()

    threading.Timer(0.2, write).start()
    assert agree(path, {"dtype": "b"}) == {"dtype": "a"}
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_agreement_of_ranks_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for content, said in (
        ("{", "what earlier processes agreed on in"),
        ("{}", "expected a numerics profile of"),
    ):
        (tmp_path / "certificates.numerics.json").write_text(content)
        with pytest.raises(RecordError, match=said) as error:
            certify_dataset(small_net(), seven(), tmp_path, SETTINGS, progress=False)
        assert "certificates.numerics.json" in str(error.value)


def test_rank_and_world_come_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rank_and_world() == (0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert rank_and_world() == (2, 3)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="RANK < WORLD_SIZE in the environment, got 2 and 2"):
        rank_and_world()


HEADER = {"sigma": 0.25, "alpha": 0.001, "n": 100}


def image(idx: int, **more: Any) -> dict[str, Any]:
    known = {"idx": idx, "label": 1, "predict": 1, "radius": 0.2, "correct": 1, "seconds": 1.0}
    return {**known, **more}


def partial(idx: int, reached: int) -> dict[str, Any]:
    return Drawn((), reached, np.array([reached, 0, 0]), 1.0).record() | {"idx": idx}


def write(path: Path, *records: tuple[str, dict[str, Any]], **header: Any) -> None:
    with Journal(path, {**HEADER, **header}) as record:
        for kind, data in records:
            record.append(kind, data)


def test_journals_of_all_ranks_are_read_together(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    assert shards.of_rank(0, 1) == shards.path
    begun = [("partial", partial(4, 32)), ("partial", partial(5, 8)), ("partial", partial(7, 32))]
    write(shards.path, ("image", image(3)), *begun)
    write(shards.of_rank(1, 2), ("partial", partial(4, 64)), ("partial", partial(3, 16)))
    write(shards.of_rank(0, 2), ("image", image(5)), ("look", partial(6, 16)))
    write(shards.of_rank(1, 3), ("partial", partial(7, 16)), ("another kind", partial(8, 16)))
    write(tmp_path / "certificates-more.jsonl", ("image", image(9)), seed=1)
    finished, drawn = shards.read(HEADER)
    assert finished == {3, 5}
    assert {idx: votes.reached for idx, votes in drawn.items()} == {4: 64, 6: 16, 7: 32}
    assert shards.merged().idx.tolist() == [3, 5]


def test_each_line_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    decode = journal._decode
    monkeypatch.setattr(
        journal, "_decode", lambda line, where: (decoded.append(where), decode(line, where))[1]
    )
    for _ in range(2):  # a run, and the same again when it is finished
        log = certify_dataset(small_net(), seven(), tmp_path, SETTINGS, progress=False)
        assert len(log) == 7
        assert len(decoded) == len(set(decoded)) > 7
        decoded.clear()


def test_many_classes_are_recorded_by_their_votes(tmp_path: Path) -> None:
    """Ten classes stay lists; of a hundred, those without votes are left out."""
    shards = Shards(tmp_path / "certificates.jsonl")
    counts = np.bincount([7, 7, 99], minlength=100)
    votes = {"counts": compact(counts), "selection": compact(counts), "n": 3, "invalid": 0}
    unfinished = Drawn(((VoteRequest("select", 3), np.append(counts, 0)),), 0).record()
    write(shards.path, ("image", image(3, **votes)), ("partial", {"idx": 4, **unfinished}))
    log = shards.merged()
    assert log.counts is not None
    assert log.selection is not None
    assert np.array_equal(log.counts, counts[None])
    assert np.array_equal(log.selection, counts[None])
    [(request, found)] = shards.read(HEADER)[1][4].answers
    assert request == VoteRequest("select", 3)
    assert np.array_equal(found, np.append(counts, 0))
    assert '"counts":{"classes":100,"votes":{"7":2,"99":1}}' in shards.path.read_text()
    write(shards.of_rank(0, 2), ("image", image(5, **{**votes, "counts": {"classes": 100}})))
    with pytest.raises(RecordError, match=r"rank0-of-2.*the number of classes and their votes"):
        shards.merged()


def test_the_names_of_journals_are_no_patterns(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "run[1]*.jsonl")
    write(shards.of_rank(0, 2), ("image", image(3)))
    write(shards.of_rank(1, 2), ("image", image(4)))
    write(Shards(tmp_path / "run1.jsonl").of_rank(0, 2), ("image", image(5)), n=200)
    assert shards.read(HEADER) == ({3, 4}, {})
    assert shards.merged().idx.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("idx\tlabel\n", "none of this run"),
        ("", "none of this run"),
        ({"provenance": {**HEADER, "n": 200}}, r"differs in n \(200, here 100\)"),
        ({"provenance": 3}, "none of this run"),
        ([1], "none of this run"),
    ],
)
def test_a_table_of_somebody_else_is_not_replaced(tmp_path: Path, content: Any, why: str) -> None:
    shards = Shards(tmp_path / "notes.jsonl")
    shards.check_table(HEADER)
    name = "notes.tsv" if isinstance(content, str) else "notes.tsv.json"
    text = content if isinstance(content, str) else json.dumps(content)
    (tmp_path / name).write_text(text)
    with pytest.raises(
        RecordError, match=rf"expected .*notes\.tsv to be free for the table.*{why}"
    ):
        shards.check_table(HEADER)
    assert (tmp_path / name).read_text() == text


def test_the_table_of_this_run_is_written_again(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    write(shards.path, ("image", image(3)))
    for name in ("certificates.tsv", "certificates.tsv.json"):
        (tmp_path / f".{name}.{16 * '0'}.tmp").touch()  # of a killed process
    shards.export(shards.merged())
    assert not list(tmp_path.glob("*.tmp"))
    shards.check_table(HEADER)


def test_journals_without_images_are_an_empty_log_of_their_run(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    write(shards.of_rank(2, 3), ("partial", partial(4, 64)))
    log = shards.merged()
    assert len(log) == 0
    assert log.provenance["n"] == 100
    assert log.provenance["noise"]["distribution"] == {"name": "gaussian", "sigma": 0.25}


def test_a_journal_of_another_configuration_is_refused(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    assert shards.read(HEADER) == (set(), {})
    assert shards.profile() is None
    write(shards.of_rank(2, 3), ("image", image(3)), n=200)
    with pytest.raises(RecordError, match=r"rank2-of-3\.jsonl .* differs in n \(200, here 100\)"):
        shards.read(HEADER)


def test_a_header_that_a_kill_has_torn_says_nothing(tmp_path: Path) -> None:
    """The next start writes it anew, with the numerics and design of the others, or its own."""
    shards = Shards(tmp_path / "certificates.jsonl")
    shards.path.write_bytes(b'{"seq":0,"config":"')
    assert shards.profile() is None
    assert shards.design() is None
    assert shards.read(HEADER) == (set(), {})
    write(shards.of_rank(0, 3))
    assert shards.merged().provenance["n"] == 100
    design = {"design": PRESENT_DESIGN.record()}
    write(shards.of_rank(0, 2), ("image", image(3)))  # of a mode without a design
    assert shards.design() is None
    write(shards.of_rank(1, 2), ("image", image(3)), **design)
    assert shards.design() == PRESENT_DESIGN


def test_shards_that_contradict_each_other_are_not_merged(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    write(shards.path, ("image", image(3)))
    write(shards.of_rank(0, 2), ("image", image(3, radius=0.1)))
    with pytest.raises(RecordError, match="radius differs between shards at idx 3"):
        shards.merged()


def test_the_table_is_written_by_one_rank(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "certificates.jsonl")
    write(shards.path, ("image", image(3)))
    log = shards.merged()
    with FileLock(tmp_path / "certificates.tsv"):
        shards.export(log)
        assert not (tmp_path / "certificates.tsv").exists()
    shards.export(log)
    assert read_log(tmp_path / "certificates.tsv").idx.tolist() == [3]


def test_the_profile_is_that_of_the_record(tmp_path: Path, reference: CertificationLog) -> None:
    numerics = reference.provenance["numerics"]
    shards = Shards(tmp_path / "certificates.jsonl")
    write(shards.path, numerics=numerics)
    found = shards.profile()
    assert found is not None
    assert found.record() == numerics
    with pytest.raises(RecordError, match=r"here: expected a numerics profile.*--out FILE\.jsonl"):
        profile_of({**numerics, "batch": "32"}, "here")
