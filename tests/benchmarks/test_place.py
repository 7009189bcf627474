"""What the harness reads is found in a checkout and in a wheel."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rsmooth.benchmarks.place import CHECKOUT, FILES

ROOT = Path(__file__).parents[2]


def test_a_checkout_has_its_files_beside_the_package() -> None:
    assert ROOT == CHECKOUT
    assert {"presets", "reference", "ablations.yaml"} <= {path.name for path in FILES.iterdir()}


def test_a_wheel_holds_every_preset_and_table(tmp_path: Path) -> None:
    """``build_py`` lays out what goes into a wheel; a fresh interpreter then sees only that."""
    build = ["build_py", "--quiet", "--build-lib", str(tmp_path)]
    subprocess.run([sys.executable, "setup.py", *build], cwd=ROOT, check=True, capture_output=True)
    names = {path.name for path in (tmp_path / "rsmooth/benchmarks/shipped").rglob("*.*")}
    assert names >= {path.name for path in (FILES / "presets").iterdir()} | {"ablations.yaml"}
    assert names >= {path.name for path in (FILES / "reference").rglob("*.csv")}
    program = "from rsmooth.benchmarks.main import main; main(['--help'])"
    done = subprocess.run(
        [sys.executable, "-c", program],  # what lies in its folder comes first
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert re.match(r"usage: python -m rsmooth\.benchmarks", done.stdout)
