"""Test files that import a missing package are left out and named: a machine set up for a GPU may
lack some.
"""

from __future__ import annotations

import functools
import gc
import os
import random
import re
import signal
import sys
from collections.abc import Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

PACKAGES = ("flint", "foolbox", "hypothesis", "jsonargparse", "mpmath", "sklearn")
MISSING = [name for name in PACKAGES if find_spec(name) is None]


def _imports(path: Path) -> bool:
    pattern = rf"^(?:import|from) (?:{'|'.join(MISSING)})\b"
    return (
        bool(MISSING)
        and re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    )


# The background jobs of a shell inherit an ignored SIGINT, which tests send to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

collect_ignore = [
    str(path) for path in sorted(Path(__file__).parent.rglob("test_*.py")) if _imports(path)
]


def pytest_report_header() -> list[str]:
    """Say in each run what was left out."""
    return (
        [f"no {', '.join(MISSING)}: {len(collect_ignore)} test files left out"]
        if collect_ignore
        else []
    )


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What modules hold stays: no garbage collection goes through all of torch, again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """What a test draws does not depend on the tests before it; another seed finds fragile ones."""
    seed = int(os.environ.get("RSMOOTH_TEST_SEED", "0"))
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (the state that other libraries draw from)
    # torch.manual_seed would note the whole stack each time, for a GPU that may come.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)


@pytest.fixture(scope="session", autouse=True)
def fonts() -> Iterator[dict[str, int]]:
    """Figures are drawn with fonts that are quicker to embed; yields those of rsmooth."""
    from rsmooth.report import looks

    own, looks.FONTS = looks.FONTS, {"pdf.fonttype": 3}
    yield own
    looks.FONTS = own


@pytest.fixture(scope="session", autouse=True)
def _uncompiled_noise() -> Iterator[None]:
    """What all tests together draw makes none of them compile; some make a kernel of their own."""
    from rsmooth.noise.grid import compiled_dense
    from rsmooth.noise.normal import compiled_normals
    from rsmooth.noise.philox import compiled_pairs

    kernels = (compiled_dense, compiled_normals, compiled_pairs)
    before = [kernel._after for kernel in kernels]
    for kernel in kernels:
        kernel._after = sys.maxsize
    yield
    for kernel, after in zip(kernels, before, strict=True):
        kernel._after = after


@pytest.fixture(scope="session", autouse=True)
def _digits_once() -> Iterator[None]:
    """Scikit-learn's file of digits is parsed once; hundreds of tests load that data set."""
    from rsmooth.data import handwritten

    own = handwritten.optional
    load = functools.cache(lambda: own("sklearn.datasets", "digits", "digits").load_digits())

    def optional(*names: str) -> Any:
        own(*names)  # says so where it is missing
        return SimpleNamespace(load_digits=load)

    handwritten.optional = optional
    yield
    handwritten.optional = own


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of certification that need not import torch first; some tests start the real ones."""
    from rsmooth.certify.run import workers
    from tests.processes import ForkedWorker

    monkeypatch.setattr(workers, "_start", ForkedWorker)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package tests/plugins/rsmooth_extras and its metadata on the path, as if installed."""
    from rsmooth.registry import MODELS, TRAINERS

    folder = Path(__file__).parent / "plugins"
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for registry in (MODELS, TRAINERS):
        for name in [name for name in registry._entries if name.startswith("extras-")]:
            del registry._entries[name]
