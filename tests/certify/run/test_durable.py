"""What all recorded certifications share; the runs themselves test the rest."""

import pytest

from rsmooth.certify.run.durable import certify_durably, journal_path
from rsmooth.certify.run.shards import Shards
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.figures import figures_of
from rsmooth.records.journal import Journal, parse_journal
from tests.certify.recorded import seven


def image(idx, label):
    return {"idx": idx, "label": label, "predict": 0, "radius": 0.0, "seconds": 0.0}


def record(tmp_path, positions, on_certified=None, **more):
    data = seven()
    said = []

    def events(mine, drawn):
        said.append(mine)
        for at in mine[:positions]:
            label = int(data.labels[at])
            yield "image", {**image(int(data.index[at]), label), "correct": int(label == 0)}
        yield "round", {"finished": len(mine), "samples": 0}

    journal = journal_path(tmp_path / "new" / "run")
    assert journal.name == "certificates.jsonl"
    header = {"statement": {"norm": "linf", "kind": "deterministic", "method": "none"}, **more}
    try:
        log = certify_durably(
            data, Shards(journal), header, events, progress=False, on_certified=on_certified
        )
        return log, said[0]
    except RecordError as error:
        return str(error), said[0]


def test_only_what_is_missing_is_done(tmp_path):
    error, asked = record(tmp_path, 4)
    assert "expected 7 images" in error
    assert asked == [0, 1, 2, 3, 4, 5, 6]
    log, asked = record(tmp_path, 7)
    assert asked == [4, 5, 6]
    assert len(log) == 7
    log, asked = record(tmp_path, 7)
    assert asked == []
    kinds = {entry.kind for entry in parse_journal(journal_path(tmp_path / "new" / "run")).entries}
    assert kinds == {"image"}, "a round is for the progress bar"


def test_a_journal_may_be_named(tmp_path):
    assert journal_path(tmp_path / "one.jsonl") == tmp_path / "one.jsonl"


def test_the_table_is_written_at_the_end(tmp_path):
    record(tmp_path, 7)
    assert (tmp_path / "new" / "run" / "certificates.tsv").exists()


def test_the_figures_are_handed_over_once_the_record_is_complete(tmp_path):
    handed = []

    def hook(found):
        handed.append(found)
        assert (tmp_path / "new" / "run" / "certificates.tsv").exists()

    record(tmp_path, 4, hook)
    assert handed == []
    log, _ = record(tmp_path, 7, hook)
    assert handed == [figures_of(log)]
    assert handed[0]["images"] == 7.0
    record(tmp_path, 7, hook)
    assert len(handed) == 2, "also where nothing was left to do"


def test_files_of_another_run_are_refused_before_anything_is_done(tmp_path):
    folder = tmp_path / "new" / "run"
    folder.mkdir(parents=True)
    (folder / "certificates.tsv").write_text("idx\tlabel\n")
    with pytest.raises(RecordError, match="to be free for the table"):
        certify_durably(seven(), Shards(journal_path(folder)), {"n": 1}, lambda *_: None)
    (folder / "certificates.tsv").unlink()
    with Journal(folder / "certificates.rank1-of-2.jsonl", {"n": 2}):
        pass
    with pytest.raises(RecordError, match="differs in n"):
        certify_durably(seven(), Shards(journal_path(folder)), {"n": 1}, lambda *_: None)
    assert [path.name for path in folder.iterdir()] == ["certificates.rank1-of-2.jsonl"]


def test_a_record_from_before_files_of_weights_were_noted_goes_on(tmp_path):
    record(tmp_path, 4, model={"hash": "ab"})
    log, asked = record(tmp_path, 7, model={"hash": "ab", "file": {"sha256": "cd"}})
    assert asked == [4, 5, 6]
    assert log.provenance["model"] == {"hash": "ab"}
    other = {**log.provenance, "model": {"hash": "x", "file": {}}}
    shards = Shards(journal_path(tmp_path / "new" / "run"))
    with pytest.raises(RecordError, match=r"differs in model\.hash"):
        certify_durably(seven(), shards, other, iter)
