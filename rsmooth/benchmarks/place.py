"""Where presets and published tables lie: in the checkout's ``benchmarks/``, or in the wheel."""

from __future__ import annotations

from pathlib import Path

# setup.py puts a copy of what ``benchmarks/`` holds into the wheel under this name.
_IN_WHEEL = Path(__file__).parent / "shipped"
_ROOT = Path(__file__).parents[2]

# The root of the checkout whose code runs; None in a wheel.
CHECKOUT = None if _IN_WHEEL.is_dir() else _ROOT
FILES = _IN_WHEEL if CHECKOUT is None else CHECKOUT / "benchmarks"
# The command, as it works here.
PROGRAM = "python -m rsmooth.benchmarks" if CHECKOUT is None else "python -m benchmarks"
