"""What users import and call: every public name resolves, and their lines keep working."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

import rsmooth
from rsmooth import (
    ATTACKS,
    MODELS,
    TRAINERS,
    SmoothAdvPGD,
    SmoothedClassifier,
    Trainer,
    certify,
    predict,
)
from rsmooth.noise import Gaussian, Laplace, Uniform

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "rsmooth"
STUBS = sorted(PACKAGE.rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_every_name_of_a_stub_resolves(stub: Path) -> None:
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT).parts))
    names = {
        alias.asname or alias.name
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert names <= set(dir(package))
    for name in names:
        assert getattr(package, name) is not None


def test_every_package_has_a_stub_beside_it() -> None:
    """But for those that are programs."""
    programs = {PACKAGE / "cli", PACKAGE / "benchmarks"}
    packages = {path.parent for path in PACKAGE.rglob("__init__.py")} - programs
    assert packages == {path.parent for path in STUBS}


FORMS = """
import rsmooth.certify as c
from rsmooth import certify
import rsmooth
assert certify is c is rsmooth.certify
assert c.read_log is rsmooth.records.read_log
import rsmooth.certify.cohen as k
assert k.certify is c.certify
"""


FIRST = ("", "import rsmooth.certify.cohen", "from rsmooth import predict")
# Each in a process that knows nothing of rsmooth yet; torch is loaded once for all.
EACH = f"""
import os, torch
for first in {FIRST!r}:
    child = os.fork()
    if not child:
        exec(first + {FORMS!r})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, first
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks processes, which Windows cannot")
def test_certify_is_the_package_and_can_be_called() -> None:
    subprocess.run([sys.executable, "-c", EACH], check=True, cwd=ROOT)
    options = inspect.signature(certify).parameters
    assert {"g", "x", "n0", "n", "alpha", "mode", "labels", "seed"} <= set(options)


def test_the_lines_that_users_write() -> None:
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=4)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10).eval()
    x = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)) / 255
    y = torch.arange(4)
    Trainer(attack=SmoothAdvPGD(epsilon=1.0, steps=1), num_noise=2, epochs=1, batch_size=4).fit(
        g, (x, y), progress=False
    )
    assert SmoothAdvPGD(epsilon=0.5, steps=2)(g, x, y, num_noise=3).shape == x.shape
    for noise, norm in ((Gaussian(0.25), "l2"), (Uniform(0.5), "l1"), (Laplace(0.2), "l1")):
        smoothed = SmoothedClassifier(g.base, noise=noise, num_classes=10)
        result = certify(smoothed, x, n0=10, n=100, alpha=1e-3, seed=0)
        assert (result.norm, result.counts.shape) == (norm, (4, 10))
        assert result.accuracy(y, radii=[0.25, 0.5]).shape == (2,)
        assert rsmooth.records.certified_accuracy(result.to_log(y), 0.0) == result.accuracy(y)
        assert predict(smoothed, x, n=100).label.shape == (4,)
    with g.frozen_noise(seed=0, num_noise=8):
        torch.testing.assert_close(g(x)[2:], g(x[2:]))
    attack = ATTACKS.create("ddn", epsilon=0.5, steps=4)
    assert TRAINERS.create("noise-then-perturb", attack=attack).attack == attack


def test_examples_of_docstrings_come_out_as_they_say() -> None:
    """Those that need no file and end in a comment that is a value, as ``# 0.976...``."""
    names = _public()
    compared = []
    del names["compilation_status"]  # which depends on what the process did before
    for name, entry in names.items():
        for line in _example(entry):
            code, _, said = line.partition("  # ")
            try:
                expected = ast.literal_eval(said.strip().removesuffix("..."))
                value = eval(compile(code.strip(), name, "eval"), dict(names))
            except (NameError, OSError, SyntaxError, ValueError):
                continue  # no value, or an example that needs a file
            assert _as_said(value, expected, said.strip()), (name, line, value)
            compared.append(name)
    assert {"lower_confidence_bound", "differing", "preset_names", "Gaussian"} <= {*compared}


def test_every_public_function_and_class_begins_with_an_example() -> None:
    """Which parses, as prose does not."""
    for name, entry in _public().items():
        own = getattr(entry, "__module__", "").startswith("rsmooth")
        if own and (inspect.isclass(entry) or inspect.isfunction(entry)):
            paragraphs = (inspect.getdoc(entry) or "").split("\n\n")
            if not (inspect.isclass(entry) and issubclass(entry, Exception)):
                assert len(paragraphs) > 1, name
                compile(textwrap.dedent(paragraphs[1]), name, "exec")


def _public() -> dict[str, object]:
    modules = [".".join(stub.parent.relative_to(ROOT).parts) for stub in STUBS]
    loaded = [importlib.import_module(module) for module in modules]
    return {name: getattr(module, name) for module in loaded for name in dir(module)}


def _example(entry: object) -> list[str]:
    """The lines of the second paragraph of a docstring."""
    named = inspect.isclass(entry) or inspect.isfunction(entry)
    text = inspect.getdoc(entry) if named else None
    return [line.strip() for line in (text or "").split("\n\n")[1:2] for line in line.splitlines()]


def _as_said(value: object, expected: object, said: str) -> bool:
    """Equal; or its first digits; or, of a list with gaps, its ends and some between."""
    if isinstance(expected, float):
        return repr(value).startswith(said.removesuffix("...")) or value == pytest.approx(expected)
    if isinstance(expected, list) and ... in expected and isinstance(value, list):
        ends = (value[0], value[-1]) == (expected[0], expected[-1])
        return ends and {*expected} - {...} <= {*value}
    return value == expected


def test_longer_examples_of_docstrings_run() -> None:
    scope = _public()
    for entry in (rsmooth.Registry, rsmooth.config.build_trainer):
        exec("\n".join(_example(entry)), scope)
