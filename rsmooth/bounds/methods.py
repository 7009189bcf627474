"""The names of the methods, without torch."""

from __future__ import annotations

from typing import Literal, get_args

Method = Literal["ibp", "crown-ibp", "crown", "fast-lin"]
METHODS: tuple[Method, ...] = get_args(Method)
