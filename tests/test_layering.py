"""The arrows between the parts point one way, and importing the package stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rsmooth"

# What each part may import of the package. Parts not named here sit on top and may import
# everything below them.
BASIC = {"_version", "checks", "files", "registry"}
ALLOWED = {
    "_version": set(),
    "checks": set(),
    "bars": set(),
    "errors": set(),
    "files": set(),
    "locking": {"errors"},
    "registry": set(),
    "noise": {"checks"},
    "objectives": BASIC,
    "models": BASIC,
    "data": BASIC,
    "smoothed": BASIC | {"models"},
    "attacks": BASIC | {"objectives", "models", "smoothed"},
    "defenses": BASIC
    | {"objectives", "models", "smoothed", "attacks", "noise", "data", "bars", "errors", "locking"},
    "certify": BASIC | {"models", "smoothed", "noise", "data", "bars", "errors", "locking"},
    "report": BASIC | {"certify", "errors"},
}
RECORDS_ONLY = {
    f"rsmooth.certify.{name}"
    for name in (
        "records",
        "journal",
        "accuracy",
        "statistics",
        "offline",
        "bounds",
        "norms",
        "merge",
    )
}


def imports(path: Path) -> set[str]:
    """Every rsmooth module that a file imports, at any depth, type-checking blocks included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module)
            found |= {
                f"{node.module}.{alias.name}" for alias in node.names if node.module == "rsmooth"
            }
    return {name for name in found if name.split(".")[0] in {"rsmooth", "benchmarks"}}


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    part = part_of(path)
    used = imports(path)
    assert not any(name.split(".")[0] == "benchmarks" for name in used), (
        "nothing imports the benchmarks"
    )
    if part in ALLOWED:
        parts = {name.split(".")[1] for name in used if name.count(".")} - {part}
        assert parts <= ALLOWED[part], f"{part} must not import {sorted(parts - ALLOWED[part])}"
    if part == "report":
        certify = {name for name in used if name.startswith("rsmooth.certify")}
        assert certify <= RECORDS_ONLY, (
            f"reports read records only, not {sorted(certify - RECORDS_ONLY)}"
        )


def test_the_layering_covers_the_parts():
    assert set(ALLOWED) <= {part_of(path) for path in MODULES}


def test_importing_the_package_stays_light():
    heavy = ("foolbox", "matplotlib", "sklearn", "jsonargparse", "torchvision", "torch._dynamo")
    code = f"import sys, rsmooth; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert out.stdout.strip() == "[]"
