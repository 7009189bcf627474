"""Which record an audit stands beside, by the names of both."""

import pytest

from rsmooth.records.audits import beside
from rsmooth.records.files import audit_of


@pytest.mark.parametrize(
    "record", ["run/certificates.jsonl", "run/certificates.tsv", "a.jsonl", "a.tsv", "a"]
)
def test_an_audit_stands_beside_the_record_that_it_is_named_after(tmp_path, record):
    path = tmp_path / record
    assert beside(audit_of(path)) is None
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert beside(audit_of(path)) == (path if path.parent == tmp_path else path.parent)
