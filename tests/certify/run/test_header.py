"""The header of a record. Its contents are tested with the runs that write it."""

import pytest

from rsmooth.certify.run.header import model_section, run_header
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
