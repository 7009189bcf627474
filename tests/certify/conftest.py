"""What tests of recorded certifications share."""

from __future__ import annotations

import pytest

from rsmooth.certify import CertificationLog, certify_dataset
from rsmooth.plumbing.files import CRASH_VARIABLE
from tests.certify.nets import small_net
from tests.certify.recorded import SETTINGS, seven


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> CertificationLog:
    """The record of an undisturbed single-process run."""
    return certify_dataset(
        small_net(),
        seven(),
        tmp_path_factory.mktemp("reference"),
        SETTINGS,
        workers=1,
        progress=False,
    )


@pytest.fixture(autouse=True)
def outside_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", CRASH_VARIABLE):
        monkeypatch.delenv(name, raising=False)
