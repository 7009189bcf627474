"""Journals and run folders read as logs; what contradicts itself is refused with its name."""

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import log_of_run, read_log, record_files
from rsmooth.records.journal import Journal
from tests.records.by_hand import (
    HEADER,
    ROW,
    image,
    write_journal,
)


def test_a_journal_and_a_run_folder_read_as_a_log(tmp_path):
    write_journal(
        tmp_path / "certificates.jsonl", [image(7), image(2, label=1, predict=-1, radius=0.0)]
    )
    for path in (tmp_path, tmp_path / "certificates.jsonl"):
        log = read_log(path)
        assert log.idx.tolist() == [2, 7]
        assert log.predict.tolist() == [-1, 3]
        assert log.correct.tolist() == [False, True]
        assert log.time.tolist() == [1.5, 1.5]
        assert log.counts.tolist() == [[5, 5, 0, 90]] * 2
        assert log.selection.tolist() == [[1, 0, 0, 9]] * 2
        assert log.samples.tolist() == [100, 100]
        assert log.invalid.tolist() == [0, 0]
        assert log.provenance == HEADER


def test_a_log_without_selection_has_none(tmp_path):
    write_journal(tmp_path / "j", [image(1, selection=None), image(2, selection=None)])
    assert read_log(tmp_path / "j").selection is None


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (
            [image(1), image(1, radius=0.3)],
            r"line 5: expected one certificate for idx 1.*line 3 in radius \(0.2, here 0.3",
        ),
        ([image(1), image(2, correct=False)], "line 5: expected correct to be 1 exactly where"),
        (
            [image(1), {"idx": 2}],
            "line 5: expected correct, label, predict, radius, seconds in an image record",
        ),
        ([], "expected certificates in"),
    ],
)
def test_a_contradicting_journal_is_refused(tmp_path, images, reason):
    write_journal(tmp_path / "j", images)
    with pytest.raises(RecordError, match=reason):
        read_log(tmp_path / "j")


def test_the_same_certificate_twice_is_fine(tmp_path):
    write_journal(tmp_path / "j", [image(1), image(2), image(1, seconds=9.0)])
    assert read_log(tmp_path / "j").time.tolist() == [1.5, 1.5]


def test_a_run_folder_is_its_journals_and_no_other_file(tmp_path):
    write_journal(tmp_path / "certificates.jsonl", [image(7)])
    write_journal(tmp_path / "certificates-more.jsonl", [image(7)], {**HEADER, "seed": 1})
    assert record_files(tmp_path) == [tmp_path / "certificates.jsonl"]
    assert read_log(tmp_path).provenance["seed"] == 0
    assert record_files(tmp_path / "certificates-more.jsonl") == [
        tmp_path / "certificates-more.jsonl"
    ]


def test_shards_of_ranks_are_merged_whatever_their_number(tmp_path):
    for number, part in enumerate([[0, 3, 6], [1, 4], [2, 5], []]):
        write_journal(tmp_path / f"certificates.rank{number}.jsonl", [image(idx) for idx in part])
    # Begun by a single process.
    write_journal(tmp_path / "certificates.jsonl", [image(3), image(7)])
    log = read_log(tmp_path)
    assert log.idx.tolist() == list(range(8))
    assert log.counts.shape == (8, 4)


def test_a_journal_of_an_unknown_norm_is_refused_with_its_name(tmp_path):
    image = {**{name: value[0] for name, value in ROW.items()}, "seconds": 1.0}
    with Journal(tmp_path / "certificates.jsonl", {"statement": {"norm": "l0"}}) as journal:
        journal.append("image", image)
    with pytest.raises(RecordError, match=r"certificates\.jsonl: expected norm among"):
        read_log(tmp_path)


def test_a_folder_of_run_folders_says_which(tmp_path):
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "certificates.jsonl").touch()
    with pytest.raises(FileNotFoundError, match=r"it holds certified runs: name these .*: a, b\)"):
        read_log(tmp_path)
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="certify the model first"):
        read_log(tmp_path / "c")


def test_the_record_of_a_run_is_none_until_an_image_is_certified(tmp_path):
    """A journal that a stopped certification has only begun is no fault."""
    assert log_of_run(None) is None
    assert log_of_run(tmp_path) is None
    write_journal(tmp_path / "certificates.jsonl", [])
    assert log_of_run(tmp_path) is None
    write_journal(tmp_path / "other.jsonl", [image(1)])
    assert log_of_run(tmp_path / "other.jsonl") is None, "a file is no run folder"
    (tmp_path / "certificates.jsonl").rename(tmp_path / "certificates.rank0.jsonl")
    write_journal(tmp_path / "certificates.rank1.jsonl", [image(1)])
    assert log_of_run(tmp_path).idx.tolist() == [1]
    (tmp_path / "certificates.rank1.jsonl").write_text("{}\n")
    with pytest.raises(RecordError, match=r"rank1\.jsonl"):
        log_of_run(tmp_path)
