"""The folder of a run: its checkpoint and metrics, and orderly ends by signals."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from rsmooth.models.checkpoints import atomic_save, safe_load
from rsmooth.plumbing.difference import differences
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import remove_leftovers, replace_file
from rsmooth.plumbing.locking import FileLock
from rsmooth.plumbing.processes import terminations

FORMAT = "rsmooth-training-1"
MODELS = ("model.pt", "best.pt")


class RunFolder:
    """The checkpoint.pt and metrics.jsonl of one configuration.

    since: what holds for options that a checkpoint of an earlier version does not know.

    Each file is replaced whole or not at all. Within ``only_writer`` none is written into another
    folder that has taken the name.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: Mapping[str, Any],
        since: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.checkpoint = self.path / "checkpoint.pt"
        self.config = dict(config)
        self._since = dict(since or {})
        self._taken = False
        self._lock: FileLock | None = None
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def only_writer(self, patience: float) -> Iterator[None]:
        """A context in which no other run writes here; LockedError as of ``FileLock``.

        with RunFolder("runs/a", config).only_writer(patience=10.0):
            ...
        """
        with FileLock(self.checkpoint, patience=patience) as self._lock:
            yield

    def load(self) -> dict[str, Any] | None:
        """The state last saved, or None.

        RecordError for one of another configuration, a damaged one, and what is no checkpoint.
        """
        if not self.checkpoint.exists():
            return None
        try:
            state = safe_load(self.checkpoint)
        except ValueError as error:
            raise self.unusable("a file that is damaged or of another kind") from error
        if not (
            isinstance(state, dict)
            and state.get("format") == FORMAT
            and isinstance(state.get("config"), dict)
            and "precision" in state
        ):
            raise self.unusable("something else")
        differing = differences({**self._since, **state["config"]}, self.config)
        if differing:
            changes = [f"{each.key} was {each.old!r} and is {each.new!r}" for each in differing]
            raise RecordError(
                f"expected {self.path} to hold a run of this configuration, got another one: "
                f"{'; '.join(changes)}. Choose another folder, or remove its checkpoint "
                "(or resume=False) to start anew"
            )
        self._taken = True
        return state

    def take(self) -> None:
        """Remove the models of an earlier run, once: of a run that begins anew, before it writes.

        Else a best.pt of other options would pass for its own. LockedError where the folder has
        been moved, removed or replaced under this run.
        """
        if self._lock is not None:
            self._lock.check()
        if not self._taken:
            for name in MODELS:
                (self.path / name).unlink(missing_ok=True)
        self._taken = True

    def tidy(self) -> None:
        """Delete what a process left here that was killed while writing.

        Only for the process that alone writes into the folder.
        """
        remove_leftovers(self.path)

    def unusable(self, found: str) -> RecordError:
        """The error for a checkpoint that no run can go on from."""
        return RecordError(
            f"expected a training checkpoint in {self.checkpoint}, got {found}; restore it from a "
            "copy, choose another folder, or remove it (or resume=False) to start anew"
        )

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state, and the history in it as metrics.jsonl."""
        self.take()
        atomic_save({"format": FORMAT, "config": self.config, **state}, self.checkpoint)
        # Whole, from the checkpoint's own history. So no row is there twice and none is missing,
        # whenever the run was killed.
        rows = "".join(json.dumps(row) + "\n" for row in state["history"])
        replace_file(self.path / "metrics.jsonl", rows.encode(), sync=False)


class Interruption:
    """A context in which Ctrl-C, SIGTERM and the end of the terminal only leave a note.

    received: the number of the signal; 0 for none.

    So the step under way can be finished and saved. A second signal acts at once. One that comes
    after the last step acts when all is written. Outside the main thread signals cannot be caught,
    and nothing changes.
    """

    def __init__(self, active: bool) -> None:
        self.received = 0
        self._active = active and threading.current_thread() is threading.main_thread()
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if self._active:
            self._handlers = {
                number: signal.signal(number, self._note)
                for number in (signal.SIGINT, *terminations())
            }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        # Or what called would go on, against the word of who wants it to stop.
        if kind is None and self.received:
            self.end(self.received, "stopped once the training had ended and was saved")

    @staticmethod
    def end(number: int, advice: str) -> NoReturn:
        """Raise what the signal would have raised, with advice on how to go on."""
        ends = number != signal.SIGINT
        if ends and signal.getsignal(number) != signal.default_int_handler:
            raise SystemExit(f"stopped by {signal.Signals(number).name}; {advice}")
        raise KeyboardInterrupt(advice)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
