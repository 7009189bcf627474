"""The header of a record. Its contents are tested with the runs that write it."""

import pytest
from torch import nn

from rsmooth.certify.run.header import model_section, run_header
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import small_net
from tests.certify.recorded import seven


def test_provenance_joins_the_sections_of_the_header():
    said = {"model": model_section(small_net())}
    header = run_header(seven(), (1, 4, 4), said, {"model": {"name": "ours"}, "extra": 1})
    assert header["model"]["name"] == "ours"
    assert len(header["model"]["hash"]) == 16
    assert header["dataset"]["shape"] == [1, 4, 4]
    assert header["extra"] == 1
    with pytest.raises(ValueError, match="got 'model' again"):
        run_header(seven(), (1, 4, 4), said, {"model": {"hash": "0"}})


def test_a_section_keeps_the_hash_that_an_earlier_version_recorded(monkeypatch):
    g = SmoothedClassifier(
        nn.Sequential(nn.AvgPool2d(3, ceil_mode=True), nn.Flatten()), sigma=0.25, num_classes=4
    )
    with monkeypatch.context() as earlier:
        earlier.setattr("rsmooth.models.hashing._options", lambda base: b"")
        recorded = model_section(g)
    now = model_section(g)
    assert now["hash"] != recorded["hash"]
    assert model_section(g, recorded) == recorded
    assert model_section(g, {"hash": "0" * 16}) == model_section(g, {}) == now
