"""Which runs a report shows, and how it names those that have nothing to show."""

import json

import pytest

from rsmooth.plumbing.errors import EmptyRecordError, RecordError
from rsmooth.records.audits import states_of
from rsmooth.records.files import read_log
from rsmooth.records.journal import Journal
from rsmooth.report import load_runs, report
from rsmooth.report.collecting import LeftOut
from rsmooth.report.page.document import page
from rsmooth.report.reading import read_runs
from tests.report.by_hand import HEADER, write_run


def _run(folder, hits=(900, 800)):
    folder.mkdir()
    write_run(folder, hits)
    return folder


def _begun(folder, images=500):
    """A run folder whose journal has its header alone."""
    folder.mkdir()
    header = {**HEADER, "dataset": {**HEADER["dataset"], "images": images}}
    Journal(folder / "certificates.jsonl", header).close()
    return folder


def _damaged(folder):
    _run(folder)
    journal = folder / "certificates.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"label":1', b'"label":0'))
    return folder


def test_a_run_without_a_certified_image_is_named_beside_the_others(tmp_path):
    paths = [_begun(tmp_path / "begun"), _run(tmp_path / "whole")]
    made = report(paths)
    assert [run.name for run in made.runs] == ["whole"]
    assert made.paths == (paths[1],)
    said = "begun: unfinished, 0 of 500 images are there."
    assert made.markdown.count(said) == 1
    assert said in page(made)
    named = report(paths, names=["one", "two"])
    assert [run.name for run in named.runs] == ["two"]
    assert named.left_out == (LeftOut("one", "unfinished, 0 of 500 images are there."),)


def test_a_journal_that_was_cut_off_in_its_header_says_no_number(tmp_path):
    begun = _begun(tmp_path / "begun")
    (begun / "certificates.jsonl").write_bytes(b'{"seq":0,"config":"0')
    found = read_runs([_run(tmp_path / "whole"), begun])
    assert found.left_out == (LeftOut("begun", "unfinished, 0 images are there."),)


def test_runs_without_any_certified_image_are_no_report(tmp_path):
    begun = _begun(tmp_path / "begun", images=7)
    with pytest.raises(EmptyRecordError, match=r"got none so far; certify at least one") as told:
        report([begun])
    assert told.value.asked == 7
    with pytest.raises(EmptyRecordError, match="begun, got none so far"):
        load_runs([_run(tmp_path / "whole"), begun])  # who asks for each gets each


def test_a_damaged_record_is_left_out_by_name_where_that_is_asked_for(tmp_path):
    paths = [_run(tmp_path / "whole"), _damaged(tmp_path / "damaged")]
    with pytest.raises(RecordError, match="line 3: expected a journal record with a fitting"):
        report(paths)
    made = report(paths, tolerant=[paths[1]])
    assert [run.name for run in made.runs] == ["whole"]
    (left,) = made.left_out
    assert left.source == "damaged"
    assert left.reason.startswith("left out, since it cannot be read: ")
    assert "certificates.jsonl, line 3: expected a journal record with a fitting" in left.reason
    with pytest.raises(RecordError, match="line 3"):
        report(paths[1:], tolerant=paths)


def test_an_audit_of_another_record_is_named(tmp_path, caplog):
    """A probabilistic one too: its figures are in no table, but its file would be believed."""
    run = _run(tmp_path / "whole")
    own = states_of(read_log(run), run)
    assert own["record"][0]["file"] == "whole/certificates.jsonl"
    early = {"idx": [0], "predicted": [[0]]}  # as earlier versions wrote it
    for content, named in ((early, False), ({**early, **own}, False), ({"config": "0"}, True)):
        (run / "audit.json").write_text(json.dumps(content))
        assert report([run]).runs[0].attacked is None
        assert ("audit.json is of another record" in caplog.text) == named
    (run / "audit.json").write_text("[1]")
    with pytest.raises(RecordError, match="expected an audit in"):
        report([run])
