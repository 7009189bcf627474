"""Files that hold either the old content or the new one, whole, and the crash points of tests.

RSMOOTH_CRASH_AT=POINT ends the process at this point as a kill would. POINT:K ends it at the K-th
pass, counted from 1.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

CRASH_VARIABLE = "RSMOOTH_CRASH_AT"
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{16}\.tmp")
# What a file system says that cannot flush what it was asked to, such as a folder.
_NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, getattr(errno, "ENOTSUP", errno.EINVAL)}
BUSY_SECONDS = 5.0  # how long a file that is open elsewhere is waited for, on Windows
_passes: Counter[str] = Counter()


def replace_file(
    path: str | os.PathLike[str], content: bytes | memoryview, *, sync: bool = True
) -> None:
    """Put ``content`` into the file ``path``; it is on the disk when this returns.

        replace_file("runs/a/checkpoint.pt", content)

    sync: False does not wait for the disk. A power cut may then cost the file, but a killed process
        does not. It is meant for files that can be made again.

    Missing folders are made. A symbolic link goes on to name its file. What is no file, such as
    /dev/stdout or a pipe, is written to. OSError that names ``path`` where the disk refuses.

    The crash points are NAME/before-write, NAME/mid-write, NAME/before-rename and
    NAME/after-rename, with the file's name.
    """
    path = Path(path)
    if is_stream(path):
        path.write_bytes(content)
        return
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".{real.name}.{secrets.token_hex(8)}.tmp")
    try:
        real.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, content, path.name, sync)
        crash_point(f"{path.name}/before-rename")
        _rename(temporary, real)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            kept = "the file is as it was before" if path.exists() else "nothing was written"
            raise OSError(error.errno, f"{error.strerror or error}; {kept}", str(path)) from error
        raise
    crash_point(f"{path.name}/after-rename")
    if sync:
        sync_folder(real.parent)


def remove_leftovers(folder: str | os.PathLike[str], of: str | None = None) -> None:
    """Delete what killed calls of ``replace_file`` left in a folder, by names that only it gives.

    of: the name of a file, for those of this one alone. No other process may be writing there.
    """
    for left in Path(folder).glob(".*.tmp"):
        ours = of is None or left.name[1:].rpartition(".tmp")[0].rpartition(".")[0] == of
        if ours and _LEFTOVER.fullmatch(left.name):
            left.unlink(missing_ok=True)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make a renaming in the folder durable; Windows cannot open folders, and does not need it."""
    if _on_windows():
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flush(descriptor, folder)
    finally:
        os.close(descriptor)


def flush(descriptor: int, path: str | os.PathLike[str]) -> None:
    """Wait until what was written is on the disk, where the file system can say so.

        flush(file.fileno(), "runs/a/checkpoint.pt")

    OSError, which names ``path``, where the disk fails. Some file systems of networks do not know
    the call, for folders or at all: there a power cut may cost what was written last.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise OSError(error.errno, error.strerror, str(path)) from error


def crash_point(name: str) -> None:
    """End the process here, if a test asked for it."""
    if crashes_at(name):
        os._exit(137)


def crashes_at(name: str) -> bool:
    """Whether a test asked the process to end at this pass of the point."""
    wanted, _, turn = os.environ.get(CRASH_VARIABLE, "").partition(":")
    if wanted != name:
        return False
    _passes[name] += 1
    return _passes[name] == int(turn or 1)


def is_stream(path: Path) -> bool:
    """Whether it is there and neither file nor folder: a device or a pipe keeps its place."""
    return path.exists() and not path.is_file() and not path.is_dir()


def _on_windows() -> bool:
    return os.name == "nt"


def _rename(temporary: Path, path: Path) -> None:
    """Give a file its name. Windows refuses while somebody, such as a scanner, has it open."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError:  # noqa: PERF203
            if not _on_windows() or time.monotonic() >= deadline:
                raise
            time.sleep(BUSY_SECONDS / 100)


def _write(path: Path, content: bytes | memoryview, name: str, sync: bool) -> None:
    """A new file with the content."""
    crash_point(f"{name}/before-write")
    with open(path, "xb") as file:
        if crashes_at(f"{name}/mid-write"):
            file.write(content[: len(content) // 2])
            file.flush()
            os._exit(137)
        file.write(content)
        file.flush()
        if sync:
            flush(file.fileno(), path)
