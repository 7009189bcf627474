"""Published tables name the norm of their radii, and never another than their provenance.

Their dialects and their damage: test_files.py, which reads them as users do.
"""

import hashlib
import json

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import CertificationLog

ROW = {"idx": [3], "label": [1], "predict": [1], "radius": [0.5], "correct": [1], "time": [1.0]}
UNIFORM = {
    "noise": {"distribution": {"name": "uniform", "half_width": 0.5}, "arithmetic": "integer"},
    "alpha": 0.001,
}


@pytest.mark.parametrize(
    ("provenance", "column"),
    [
        ({}, "radius"),
        ({"sigma": 0.25}, "radius"),
        (UNIFORM, "radius_l1"),
        ({"statement": {"norm": "linf", "kind": "deterministic"}}, "radius_linf"),
    ],
)
def test_tables_name_the_norm_of_their_radii(tmp_path, provenance, column):
    log = CertificationLog(**ROW, provenance=provenance)
    write_log(log, tmp_path / "log")
    header = (tmp_path / "log").read_text().split("\n")[0]
    assert header == f"idx\tlabel\tpredict\t{column}\tcorrect\ttime"
    assert read_log(tmp_path / "log").statement == log.statement
    (tmp_path / "log.json").unlink()
    bare = read_log(tmp_path / "log").statement
    assert bare.norm == log.statement.norm
    assert bare.alpha is None
    assert bare.method == ("gaussian smoothing" if column == "radius" else "not recorded")


@pytest.mark.parametrize(
    ("column", "provenance", "reason"),
    [
        ("radius_linf", {"sigma": 0.25}, "log, line 1: expected the column radius, since log.json"),
        ("radius", UNIFORM, "log, line 1: expected the column radius_l1, since .* states l1"),
        ("radius_l1", {"norm": "linf"}, "log, line 1: expected the column radius_linf"),
        ("radius_l3", {}, "log, line 1: expected the tab-separated header idx"),
        ("radius_l2", {}, "log, line 1: expected the tab-separated header idx"),
        ("radius", {"norm": "l0"}, r"log\.json: expected norm among l1, l2, linf"),
    ],
)
def test_a_table_that_contradicts_its_provenance_is_refused(tmp_path, column, provenance, reason):
    """A tool that writes tables may name the column otherwise than the provenance states."""
    raw = f"idx\tlabel\tpredict\t{column}\tcorrect\ttime\n3\t1\t1\t0.5\t1\t1\n".encode()
    digest = hashlib.sha256(raw).hexdigest()
    beside = {"sha256": digest, "rows": 1, "provenance": provenance}
    (tmp_path / "log").write_bytes(raw)
    (tmp_path / "log.json").write_text(json.dumps(beside))
    with pytest.raises(RecordError, match=reason):
        read_log(tmp_path / "log")
