"""Imports point one way and cost little; every module has its test at the mirrored path."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "rsmooth"

# What the modules of each part may import of the package. The longest name that fits counts.
BASIC = {"_version", "plumbing", "registry", "config.specs"}
RECORDS = BASIC | {"records", "noise.distributions"}
PROOF = BASIC | {"records", "noise.distributions", "certify.proof"}
SMOOTHED = BASIC | {"models", "noise", "objectives", "smoothed"}
TRAINING = SMOOTHED | {"bounds", "data", "attacks", "training"}
ALLOWED = {
    "_version": set(),
    "plumbing": {"plumbing"},
    "registry": {"plumbing"},
    "objectives": BASIC,
    "noise": BASIC | {"noise"},
    "noise.distributions": BASIC | {"noise.thresholds"},
    "models": BASIC | {"models"},
    "models.pretrained": BASIC | {"models", "smoothed"},
    "models.int8.quantizing": BASIC | {"models", "noise", "smoothed"},
    "models.onnx_files": BASIC | {"models", "noise.distributions", "smoothed"},
    "data": BASIC | {"data"},
    "smoothed": BASIC | {"models", "noise"},
    "bounds": BASIC | {"models", "bounds"},
    "attacks": SMOOTHED | {"attacks"},
    "training": TRAINING,
    "defenses": TRAINING | PROOF | {"defenses", "certify"},
    "config": TRAINING | {"defenses", "config"},
    "config.specs": {"plumbing", "registry"},
    "records": RECORDS,
    "certify": PROOF | SMOOTHED | {"bounds", "data", "certify"},
    "certify.proof": PROOF,
    "evaluate": PROOF | SMOOTHED | {"bounds", "data", "certify", "attacks", "evaluate"},
    "report": PROOF | {"report"},
    "doctor": PROOF | SMOOTHED | {"config.folder", "data", "doctor"},
}
ON_TOP = {"__main__", "benchmarks", "cli", "testing"}
NO_TORCH = (
    "records",
    "certify.proof",
    "certify.settings",
    "certify.bound_settings",
    "bounds.methods",
    "certify.options",
    "noise.distributions",
    "report",
    "registry",
    "plumbing.numbers",
    "plumbing.parallel",
    "models.shipped",
    "config",
)


# Modules that need no test of their own: others run them, or they hold one value.
UNTESTED = {"__main__", "_version", "benchmarks.__main__"}
# Modules whose test is still elsewhere. Temporary: move the tests, and take the name out.
NO_MIRROR: set[str] = set()


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


# Package __init__ files resolve their names lazily, and so may look anywhere.
MODULES = {dotted(p): p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, at any depth, type-checking blocks included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner.removeprefix("rsmooth.") in MODULES else node.module


@cache
def own(path: Path) -> set[str]:
    return {name.removeprefix("rsmooth.") for name in imports(path) if name.startswith("rsmooth.")}


def part_of(module: str, parts: object) -> str | None:
    fitting = [part for part in parts if f"{module}.".startswith(f"{part}.")]
    return max(fitting, key=len, default=None)


def strange_imports(module: str) -> list[str]:
    """What a module imports of the package against the arrows."""
    part = part_of(module, [*ALLOWED, *ON_TOP])
    assert part is not None, f"say in ALLOWED what {module} may import"
    found = []
    if part != "benchmarks":
        found = [name for name in imports(MODULES[module]) if "benchmarks" in name.split(".")[:2]]
    if part in ALLOWED:
        found += [name for name in own(MODULES[module]) if part_of(name, ALLOWED[part]) is None]
    return sorted(found)


def test_arrows_point_one_way() -> None:
    found = {module: strange for module in MODULES if (strange := strange_imports(module))}
    assert not found, "expected imports that ALLOWED names"


def test_modules_name_the_module_that_they_import_from() -> None:
    """Not its package: what a package resolves lazily may lie anywhere, and hide a circle."""
    found = {
        module: others for module in MODULES if (others := own(MODULES[module]) - set(MODULES))
    }
    assert not found


def test_no_module_waits_for_itself() -> None:
    graph = {module: own(path) for module, path in MODULES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"expected no circle, got {' <- '.join(error.args[1])}") from None


def test_no_name_of_a_package_hides_a_module() -> None:
    """``import rsmooth.records.merge as m`` would give a function of that name."""
    for init in PACKAGE.rglob("__init__.pyi"):
        names = {
            alias.name
            for node in ast.parse(init.read_text(encoding="utf-8")).body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        inside = {path.stem for path in init.parent.glob("*.py")}
        inside |= {path.parent.name for path in init.parent.glob("*/__init__.py")}
        assert not names & inside, init


def mirror(module: str) -> Path:
    """Where the test of a module belongs."""
    *folders, name = module.split(".")
    return ROOT.joinpath("tests", *folders, f"test_{name}.py")


def test_every_module_has_its_test_at_the_mirrored_path() -> None:
    expected = {module for module in MODULES if module not in UNTESTED | NO_MIRROR}
    found = {module for module in MODULES if mirror(module).exists()}
    assert found == expected, "see UNTESTED and NO_MIRROR"


def test_the_exceptions_to_mirrored_tests_are_modules() -> None:
    assert set(MODULES) >= UNTESTED | NO_MIRROR


def test_the_layering_covers_the_parts() -> None:
    for part in [*ALLOWED, *ON_TOP]:
        assert any(f"{module}.".startswith(f"{part}.") for module in MODULES), part


def loaded(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of the modules a fresh interpreter has loaded after running the code."""
    program = f"import sys\n{code}\nprint([m for m in {names} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return list(ast.literal_eval(done.stdout.strip().splitlines()[-1]))


def test_importing_the_package_loads_next_to_nothing() -> None:
    assert loaded("import rsmooth; dir(rsmooth)", ("torch", "numpy", "scipy", "yaml")) == []


USED = """
import torch
from torch import nn
from rsmooth.bounds import margin_bounds
from rsmooth.models.operations import counted_operations

with counted_operations() as operations:
    nn.Linear(2, 2)(torch.zeros(1, 2))
net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(1, 2))
margins = margin_bounds(net, torch.full((1, 1, 2, 2), 0.5), torch.tensor([0]), epsilon=0.1)
assert operations.total == 8 and margins.isfinite().all()
"""


def test_importing_every_module_and_counting_and_proving_stay_light() -> None:
    """A compiler, say, would take a process seconds at its first certificate."""
    heavy = ("foolbox", "matplotlib", "sklearn", "jsonargparse", "torchvision", "torch._dynamo")
    heavy += ("torchattacks", "pyautoattack", "art", "adv_lib")
    heavy += ("scipy.stats",)  # that would cost every process of a run
    modules = [module for module in MODULES if part_of(module, ALLOWED)]
    skipped = ("attacks.foreign.foolbox_side",)  # which is imported on use, with foolbox
    code = "\n".join(f"import rsmooth.{module}" for module in modules if module not in skipped)
    no_triton = "\nassert 'triton' not in sys.modules\n"  # which counting does load
    assert loaded(code + no_triton + USED, heavy) == []


def test_records_proofs_and_reports_know_no_torch() -> None:
    modules = [module for module in MODULES if part_of(module, NO_TORCH)]
    assert loaded("\n".join(f"import rsmooth.{module}" for module in modules), ("torch",)) == []
