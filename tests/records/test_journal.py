"""The journal loses nothing that was written, and takes nothing for what was not."""

import contextlib
import errno
import json
import logging
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsmooth.plumbing.errors import LockedError, RecordError
from rsmooth.records import journal as journal_module
from rsmooth.records.journal import (
    Entry,
    Journal,
    config_hash,
    describe_difference,
    parse_journal,
)

HEADER = {"sigma": 0.25, "noise": {"kind": "grid"}}
RECORDS = [{"idx": k, "counts": [90 - k, 10 + k], "radius": 0.1 * k} for k in range(4)]


def fill(path, records=RECORDS):
    with Journal(path, HEADER) as journal:
        for record in records:
            journal.append("image", record)
    return path


def texts(path):
    return [entry.data for entry in parse_journal(path).entries]


def test_what_is_written_is_read(tmp_path):
    path = fill(tmp_path / "deep" / "j.jsonl")
    assert parse_journal(path).header == HEADER
    assert texts(path) == RECORDS
    with Journal(path, HEADER) as journal:
        assert [entry.data for entry in journal.entries("image")] == RECORDS
        journal.append("look", {"idx": 9, "votes": np.array([3, 4]), "share": np.float64(0.5)})
        assert journal.entries("look")[0].data == {"idx": 9, "votes": [3, 4], "share": 0.5}
        assert len(journal.entries()) == 5
    assert texts(path)[-1]["votes"] == [3, 4]


def test_only_what_came_later_is_parsed_again(tmp_path, monkeypatch):
    path, decoded = fill(tmp_path / "j"), []
    known, decode = parse_journal(path), journal_module._decode
    monkeypatch.setattr(
        journal_module,
        "_decode",
        lambda line, where: (decoded.append(where), decode(line, where))[1],
    )
    with Journal(path, HEADER, known=known) as journal:
        assert [entry.data for entry in journal.entries()] == RECORDS
        journal.append("image", {"idx": 8})
        assert journal.entries()[-1] == Entry("image", {"idx": 8}, 6)
    assert decoded == [f"{path}, line 6"]
    assert parse_journal(path, known) == parse_journal(path)


def test_another_file_of_the_name_is_parsed_from_its_start(tmp_path):
    path = fill(tmp_path / "j")
    known = parse_journal(path)
    fill(tmp_path / "other", [*RECORDS[:2], {"idx": 7}, {"idx": 8}, {"idx": 9}])
    os.replace(tmp_path / "other", path)
    assert parse_journal(path, known) == parse_journal(path)
    known = parse_journal(path)
    os.truncate(path, known.sound_bytes - 30)
    assert parse_journal(path, known) == parse_journal(path)
    assert len(parse_journal(path, known).entries) == 4


def test_later_lines_are_checked_like_the_first(tmp_path):
    path = fill(tmp_path / "j")
    known, lines = parse_journal(path), path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        file.write(lines[-1])
    with pytest.raises(RecordError, match="line 6: expected record 5"):
        parse_journal(path, known)


def test_there_is_one_header(tmp_path):
    with (
        Journal(tmp_path / "j", HEADER) as journal,
        pytest.raises(ValueError, match="other than 'header'"),
    ):
        journal.append("header", HEADER)


def test_every_line_is_json_and_lies_on_disk_at_once(tmp_path):
    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append("image", RECORDS[0])
        lines = (tmp_path / "j").read_text().splitlines()  # while still open
    assert [json.loads(line)["kind"] for line in lines] == ["header", "image"]
    assert {json.loads(line)["config"] for line in lines} == {config_hash(HEADER)}


def test_a_torn_last_line_is_dropped_and_said(tmp_path, caplog):
    path = fill(tmp_path / "j")
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    with caplog.at_level(logging.WARNING), Journal(path, HEADER) as journal:
        assert len(journal.entries()) == 3
        journal.append("image", RECORDS[3])
    assert "torn line" in caplog.text
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kept", [20, -7])
def test_a_torn_line_is_said_once_to_whoever_reads_on(tmp_path, caplog, kept):
    path = fill(tmp_path / "j")
    path.write_bytes(path.read_bytes()[:kept])
    with caplog.at_level(logging.WARNING):
        known = parse_journal(path)
        assert parse_journal(path, known) == known
        assert len(caplog.records) == 1
        path.write_bytes(path.read_bytes()[:-1])
        parse_journal(path, known)
    assert len(caplog.records) == 2, "another torn line"


def test_a_torn_header_is_written_again(tmp_path):
    path = fill(tmp_path / "j")
    whole = path.read_bytes()
    path.write_bytes(whole[:20])
    assert fill(path).read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b'{"my precious": 1}',
        b"hello",
        b"{",
        b'{"seq":0',
        b'{"seq":5,"config":"aaaa","kind":"image"',
        b'{"seq":0,"config":"0123456789abcdef","kind":"header","data":{"mine":1}}',
        b"\x00\x01",
        b"a note\nand another",
        b"\n",
    ],
)
def test_a_file_that_is_no_journal_stays_as_it_is(tmp_path, content):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    with pytest.raises(
        RecordError, match=r"notes\.jsonl.*expected a journal|expected a journal in"
    ):
        Journal(path, HEADER)
    assert path.read_bytes() == content


def test_what_a_table_of_json_holds_is_no_journal_to_read(tmp_path):
    (tmp_path / "notes.jsonl").write_bytes(b'{"my precious": 1}')
    with pytest.raises(RecordError, match=r"expected a journal in .*notes\.jsonl, got 18 bytes"):
        parse_journal(tmp_path / "notes.jsonl")


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_second_writer_through_a_link_is_locked_out(tmp_path, link):
    path = fill(tmp_path / "j")
    (tmp_path / "folder").mkdir()
    getattr(tmp_path / "folder" / "link", link)(path)
    with Journal(path, HEADER), pytest.raises(LockedError, match=r"only writer of .*link, but"):
        Journal(tmp_path / "folder" / "link", HEADER)
    with Journal(tmp_path / "folder" / "link", HEADER) as journal:
        journal.append("image", RECORDS[0])
    assert len(texts(path)) == 5


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"90", b"91"), *lines[2:]], 2),
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [*lines, lines[-1]], 6),
        (lambda lines: [*lines[:3], b"", *lines[3:]], 4),
    ],
)
def test_other_damage_is_refused_with_its_line(tmp_path, damage, line):
    path = fill(tmp_path / "j")
    path.write_bytes(b"\n".join(damage(path.read_bytes().splitlines())) + b"\n")
    with pytest.raises(RecordError, match=f"j, line {line}: expected"):
        Journal(path, HEADER)
    assert not path.with_name("j.lock").exists()


def test_lines_of_another_run_are_refused(tmp_path):
    path = fill(tmp_path / "a")
    with Journal(tmp_path / "b", {"sigma": 0.5}) as other:
        other.append("image", RECORDS[0])
    mine, theirs = path.read_bytes().splitlines(), (tmp_path / "b").read_bytes().splitlines()
    path.write_bytes(b"\n".join([mine[0], theirs[1]]) + b"\n")
    with pytest.raises(RecordError, match=r"line 2: .* from another run"):
        parse_journal(path)


def test_another_configuration_is_refused_by_its_keys(tmp_path):
    path = fill(tmp_path / "j")
    with pytest.raises(
        RecordError, match=r'noise\.arithmetic \("integer", here "float"\), seed \(absent, here 1\)'
    ):
        Journal(path, {"sigma": 0.25, "noise": {"kind": "float"}, "seed": 1})
    assert len(texts(path)) == 4


def test_equal_headers_may_be_spelt_differently(tmp_path):
    with Journal(tmp_path / "j", {"sigma": 1, "radii": (1, 2)}) as journal:
        journal.append("image", RECORDS[0])
    with Journal(tmp_path / "j", {"radii": [1, 2], "sigma": 1.0}) as journal:
        journal.append("image", RECORDS[1])
    assert texts(tmp_path / "j") == RECORDS[:2]


def test_describe_difference_of_equal_and_empty():
    assert describe_difference(HEADER, HEADER) == ""
    assert describe_difference({"a": {}}, {}) == "a ({}, here absent)"


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    with (
        Journal(tmp_path / "j", HEADER),
        pytest.raises(LockedError, match=f"process {os.getpid()} is writing"),
    ):
        Journal(tmp_path / "j", HEADER)
    Journal(tmp_path / "j", HEADER).close()
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_a_lock_file_left_by_a_killed_process_does_not_lock(tmp_path):
    (tmp_path / "j.lock").write_text("999999\n")
    assert len(texts(fill(tmp_path / "j"))) == 4


@pytest.mark.parametrize("failure", ["full", "short"])
def test_a_full_disk_leaves_no_torn_line_inside(tmp_path, monkeypatch, failure):
    write = os.write

    def refuse(fd, data):
        write(fd, data[:5])
        if failure == "full":
            raise OSError(errno.ENOSPC, "No space left on device")
        return 5

    with Journal(tmp_path / "j", HEADER) as journal:
        journal.append("image", RECORDS[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", refuse)
            with pytest.raises(OSError, match=r"No space|free some space") as error:
                journal.append("image", RECORDS[1])
            assert str(tmp_path / "j") in str(error.value)
        journal.append("image", RECORDS[1])
    assert texts(tmp_path / "j") == RECORDS[:2]


def test_it_syncs_every_k_records_and_on_close(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(fd), fsync(fd)))
    journal = Journal(tmp_path / "j", HEADER, sync_every=2, sync_seconds=1e9)
    before = len(synced)
    journal.append("image", RECORDS[0])
    assert len(synced) == before
    journal.append("image", RECORDS[1])
    assert len(synced) == before + 1
    journal.close()
    assert len(synced) == before + 2
    with Journal(tmp_path / "j", HEADER, sync_every=1000, sync_seconds=0.0) as hasty:
        before = len(synced)
        hasty.append("image", RECORDS[2])
        assert len(synced) == before + 1


@pytest.mark.parametrize(("number", "fails"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_only_a_disk_that_fails_while_it_flushes_is_named(number, fails, tmp_path, monkeypatch):
    """Some file systems of networks do not know the call: lines are kept all the same."""
    journal = Journal(tmp_path / "j", HEADER, sync_every=1)

    def fsync(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    fault = pytest.raises(OSError, match=r"output error: .*/j")
    with fault if fails else contextlib.nullcontext():
        journal.append("image", RECORDS[0])
    with fault if fails else contextlib.nullcontext():
        journal.close()
    assert texts(tmp_path / "j") == RECORDS[:1]


def test_nan_and_closed_journals_are_refused(tmp_path):
    with Journal(tmp_path / "j", HEADER) as journal, pytest.raises(ValueError, match="JSON"):
        journal.append("image", {"radius": float("nan")})
    with pytest.raises(ValueError, match="expected an open journal"):
        journal.append("image", RECORDS[0])
    with pytest.raises(TypeError, match="expected JSON values"):
        Journal(tmp_path / "k", {"path": tmp_path})
    assert texts(tmp_path / "j") == []


CRASHES = [
    (point, turn) for point in ("before-append", "mid-append", "after-append") for turn in (1, 2, 4)
]
SCRIPT = """
    import os, sys
    sys.path.insert(0, {root!r})
    from tests.records.test_journal import CRASHES, fill
    for point, turn in CRASHES:
        child = os.fork()  # one import for all the deaths
        if child == 0:
            os.environ["RSMOOTH_CRASH_AT"] = f"{{point}}:{{turn}}"
            fill(os.path.join({folder!r}, f"{{point}}-{{turn}}"))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 137, (point, turn)
"""


def test_every_crash_point_recovers_to_the_same_bytes(tmp_path, request):
    script = textwrap.dedent(SCRIPT.format(root=str(request.config.rootpath), folder=str(tmp_path)))
    subprocess.run([sys.executable, "-c", script], check=True, cwd=request.config.rootpath)
    whole = fill(tmp_path / "whole").read_bytes()
    for point, turn in CRASHES:  # the first append of a new journal is its header
        path = tmp_path / f"{point}-{turn}"
        with Journal(path, HEADER) as journal:
            done = len(journal.entries())
            assert done == max(turn - 1 - (point != "after-append"), 0), (point, turn)
            for record in RECORDS[done:]:
                journal.append("image", record)
        assert path.read_bytes() == whole, (point, turn)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = fill(tmp_path_factory.mktemp("fuzz") / "j")
    return path, path.read_bytes()


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_a_truncated_journal_reads_as_a_prefix(sound, data):
    path, whole = sound
    cut = data.draw(st.integers(0, len(whole)))
    path.with_name("cut").write_bytes(whole[:cut])
    contents = parse_journal(path.with_name("cut"))
    assert [entry.data for entry in contents.entries] == RECORDS[: len(contents.entries)]
    assert contents.sound_bytes + contents.torn_bytes == cut
    assert contents.header == (None if cut < whole.index(b"\n") + 1 else HEADER)


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_a_flipped_bit_never_loads_as_something_else(sound, data):
    path, whole = sound
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << bit
    path.with_name("flip").write_bytes(damaged)
    try:
        contents = parse_journal(path.with_name("flip"))
    except RecordError:
        return
    # Only the last line end may go unnoticed as damage: then its line counts as torn, and is said
    # to be.
    assert place == len(whole) - 1
    assert contents.torn_bytes
    assert [entry.data for entry in contents.entries] == RECORDS[:-1]


def test_an_interrupt_behind_a_write_leaves_the_journal_whole(tmp_path, monkeypatch):
    write = os.write

    def interrupted(number, line):
        write(number, line)
        raise KeyboardInterrupt

    with Journal(tmp_path / "j.jsonl", {"sigma": 0.25}) as journal:
        journal.append("image", {"idx": 0})
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                journal.append("image", {"idx": 1})
        journal.append("partial", {"idx": 2})
    found = parse_journal(tmp_path / "j.jsonl")
    assert [(entry.kind, entry.data["idx"]) for entry in found.entries] == [
        ("image", 0),
        ("partial", 2),
    ]
    assert found.torn_bytes == 0


@pytest.mark.skipif(sys.platform == "win32", reason="keeps a folder with an open file in place")
def test_a_journal_that_was_moved_away_takes_no_more(tmp_path):
    """Or hours of certificates would go where nobody looks for them."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    journal = Journal(run / "a.jsonl", {"sigma": 0.25}, sync_every=2)
    journal.append("image", {"idx": 0})
    run.rename(moved)
    with pytest.raises(LockedError, match="stay where it was, but its folder was moved, removed"):
        journal.append("image", {"idx": 1})
    with pytest.raises(LockedError, match="put it back, and start again"):
        journal.close()
    assert not run.exists()
    moved.rename(run)  # as the message says
    with Journal(run / "a.jsonl", {"sigma": 0.25}) as journal:
        assert [entry.data["idx"] for entry in journal.entries()] == [0, 1]
