"""One run on the embedded digits for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rsmooth.cli import main
from tests.cli.helpers import CERTIFY, TINY


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained and certified run folder."""
    folder = tmp_path_factory.mktemp("cli") / "run"
    assert main(["train", str(folder), "--sigma", "1/4", *TINY]) == 0
    assert main(["certify", str(folder), *CERTIFY]) == 0
    return folder
