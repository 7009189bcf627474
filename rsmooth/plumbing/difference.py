"""Where two nested configurations differ: one walk for every message that says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


class _Absent:
    """What a configuration has under a key that it lacks."""

    def __repr__(self) -> str:
        return "(nothing)"


ABSENT: Final = _Absent()


@dataclass(frozen=True)
class Difference:
    """One value that differs: its dotted ``key``, and both sides.

    A side is ``ABSENT`` where it has no such key. ABSENT prints as "(nothing)", so that ``f"{key}
    was {old!r} and is {new!r}"`` reads well.
    """

    key: str
    old: Any
    new: Any


def differences(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    *,
    bare_names: bool = False,
    none_is_absent: bool = False,
) -> list[Difference]:
    """Every value in which two nested mappings differ.

        differences({"a": {"b": 1}}, {"a": {"b": 2}})     # [Difference("a.b", 1, 2)]

    bare_names: a text is the same as a mapping of just that name: "pgd" and {"name": "pgd"}.
    none_is_absent: a key whose value is None is the same as no such key. None then stands for both.

    The keys of ``old`` come first, in its order. Those that only ``new`` has follow.
    """
    found: list[Difference] = []
    missing = None if none_is_absent else ABSENT
    for key in [*old, *(key for key in new if key not in old)]:
        before, after = old.get(key, missing), new.get(key, missing)
        if bare_names:
            before, after = _opened(before, after), _opened(after, before)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            inner = differences(before, after, bare_names=bare_names, none_is_absent=none_is_absent)
            found += [Difference(f"{key}.{each.key}", each.old, each.new) for each in inner]
        elif before is not after and before != after:
            found.append(Difference(str(key), before, after))
    return found


def _opened(value: Any, other: Any) -> Any:
    """A bare name as a mapping, where the other side is one."""
    return {"name": value} if isinstance(value, str) and isinstance(other, Mapping) else value
