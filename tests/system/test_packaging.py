"""What an index shows of the package, and what a source archive holds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / "setup.py").exists(), reason="an installed package has no setup.py"
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)]+)\)")


def egg_info(folder: Path, url: str = "") -> tuple[Message, list[str]]:
    """The metadata, and the files of a source archive."""
    pytest.importorskip("setuptools", minversion="69")  # earlier ones leave requirements out
    environment = {**os.environ, "RSMOOTH_URL": url}
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    made = folder / "rsmooth.egg-info"
    text = (made / "PKG-INFO").read_text(encoding="utf-8")
    return message_from_string(text), (made / "SOURCES.txt").read_text(encoding="utf-8").split("\n")


def test_what_an_index_shows(tmp_path: Path) -> None:
    found, files = egg_info(tmp_path)
    assert (found["Author"], found["Requires-Python"]) == ("rsmooth developers", ">=3.10")
    classifiers = found.get_all("Classifier")
    assert "Typing :: Typed" in classifiers
    assert "Programming Language :: Python :: 3.13" in classifiers
    assert found.get_all("Project-URL") is None, "expected no address, as long as none is known"
    text = str(found.get_payload())
    named = re.findall(r"(?<!!)\[([^\]]*)\]\((?!https)[^)]+\)", README)
    assert named, "expected links to files, whose names stay"
    assert [name for name in named if name not in text] == []
    dead = [link for link in LINK.findall(text) if not link.startswith(("https://", "#"))]
    assert dead == []
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8").lower()
    required = [line for line in found.get_all("Requires-Dist") if "extra ==" not in line]
    packages = [re.split(r"[<>=\[ ]", line.lower())[0] for line in required]
    assert len(packages) > 5
    assert [name for name in packages if name not in page] == []
    assert [name for name in found.get_all("Provides-Extra") if f"`{name}`" not in page] == []
    needed = {"setup.py", "LICENSE", "README.md", "Makefile", "tests/conftest.py"}
    needed |= {"benchmarks/presets/digits.yaml", "rsmooth/py.typed", "docs/glossary.md"}
    assert needed <= set(files)
    assert not [name for name in files if name.endswith((".pyc", ".png", ".log"))]


def test_a_release_links_to_its_own_tag(tmp_path: Path) -> None:
    found, _ = egg_info(tmp_path, "https://example.org/them/rsmooth/")
    base = f"https://example.org/them/rsmooth/blob/v{found['Version']}"
    assert f"Source, {base.split('/blob')[0]}" in found.get_all("Project-URL")
    text = str(found.get_payload())
    for link in LINK.findall(README):
        if not link.startswith(("https://", "#")):
            kind = "raw" if link.endswith(".png") else "blob"
            assert f"({base.replace('blob', kind)}/{link})" in text


def test_each_part_that_may_be_missing_is_an_extra(tmp_path: Path) -> None:
    found, _ = egg_info(tmp_path)
    required = found.get_all("Requires-Dist")
    core = [each for each in required if "extra ==" not in each]
    for package, extra in (
        ("foolbox", "foolbox"),
        ("matplotlib", "plots"),
        ("scikit-learn", "digits"),
        ("ray", "ray"),
        ("submitit", "submitit"),
    ):
        assert extra in found.get_all("Provides-Extra")
        assert not any(each.startswith(package) for each in core)
        of_extra = [each for each in required if f'extra == "{extra}"' in each]
        assert any(each.startswith(package) for each in of_extra)
