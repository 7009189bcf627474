"""Settings of the whole process that several threads want to be another for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class SharedSetting:
    """A setting of the process, which the last of several threads restores.

        benchmark = SharedSetting(torch.backends.cudnn, "benchmark", False)
        with benchmark.held():
            ...

    owner, name: the attribute that is the setting. value: what it is in every such context.

    If each thread put back what it has found, one that came later would put back ``value``, and one
    that left earlier would take it from the others.
    """

    def __init__(self, owner: Any, name: str, value: Any) -> None:
        self._owner, self._name, self._value = owner, name, value
        self._lock = threading.Lock()
        self._holders = 0
        self._before: Any = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """A context in which the setting has the value, in this thread and all others."""
        with self._lock:
            if not self._holders:
                self._before = getattr(self._owner, self._name)
            self._holders += 1
            setattr(self._owner, self._name, self._value)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    setattr(self._owner, self._name, self._before)
