"""Files are replaced whole or not at all; what the disk refuses is said with the file's name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rsmooth.plumbing import files
from rsmooth.plumbing.files import remove_leftovers, replace_file, sync_folder
from tests.full_disk import small_files_only

LARGE = b"x" * 100_000


def test_what_does_not_fit_leaves_the_old_file_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with (
        small_files_only(),
        pytest.raises(OSError, match=r"File too large; nothing was written: .*a\.bin") as caught,
    ):
        replace_file(path, LARGE)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    replace_file(path, b"old")
    with (
        small_files_only(),
        pytest.raises(OSError, match=r"File too large; the file is as it was before: .*a\.bin"),
    ):
        replace_file(path, LARGE)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_link_goes_on_to_name_its_file(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to(Path("deep") / "file")
    replace_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "deep" / "file").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_a_pipe_is_written_to_and_keeps_its_place(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    replace_file(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()
    assert os.read(reader, 10) == b"new"
    os.close(reader)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match=r"nothing was written: .*file.new.a"):
        replace_file(tmp_path / "file" / "new" / "a", b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only_is_said_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match=r"Permission denied; nothing was written: .*a"):
        replace_file(tmp_path / "a", b"")


def test_the_disk_is_waited_for_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    replace_file(tmp_path / "a", b"", sync=False)
    assert not synced
    replace_file(tmp_path / "a", b"")
    assert len(synced) == 2  # the file and its folder


def refusing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_that_cannot_flush_is_written_to(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of some networks, for folders or at all."""
    refusing(number, monkeypatch)
    replace_file(tmp_path / "new" / "a", b"new")
    assert (tmp_path / "new" / "a").read_bytes() == b"new"


def test_a_disk_that_fails_while_it_flushes_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(errno.EIO, monkeypatch)
    with pytest.raises(OSError, match=r"output error; nothing was written: .*/a"):
        replace_file(tmp_path / "a", b"")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match=rf"output error: .*{tmp_path.name}"):
        sync_folder(tmp_path)


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import sys; from rsmooth.plumbing.files import replace_file; "
        "replace_file(sys.argv[1], b'new content')"
    )
    environment = {**os.environ, "RSMOOTH_CRASH_AT": "a.pt/mid-write"}
    (tmp_path / "a.pt").write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.pt")],
        env=environment,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 137
    left = [path for path in tmp_path.iterdir() if path.name != "a.pt"]
    assert [path.read_bytes() for path in left] == [b"new c"]
    (tmp_path / ".mine.tmp").write_bytes(b"notes")
    remove_leftovers(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.pt": b"old",
        ".mine.tmp": b"notes",
    }


def test_windows_waits_for_a_file_that_is_open_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = [True, True, False]
    rename = os.replace

    def replace(old: Path, new: Path) -> None:
        if busy.pop(0):
            raise PermissionError(13, "the file is in use")
        rename(old, new)

    monkeypatch.setattr(files.os, "replace", replace)
    monkeypatch.setattr(files, "_on_windows", lambda: True)
    monkeypatch.setattr(files, "sync_folder", lambda folder: None)
    replace_file(tmp_path / "a", b"new")
    assert ((tmp_path / "a").read_bytes(), busy) == (b"new", [])
    busy += [True] * 1000
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.05)
    with pytest.raises(PermissionError, match=r"the file is in use; the file is as it was before"):
        replace_file(tmp_path / "a", b"newer")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_elsewhere_a_refusal_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def replace(old: Path, new: Path) -> None:
        tries.append(new)
        raise PermissionError(13, "no")

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises(PermissionError):
        replace_file(tmp_path / "a", b"")
    assert len(tries) == 1
