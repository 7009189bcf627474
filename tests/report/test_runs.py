"""What is read from run folders, and how runs are called."""

import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.report import load_runs, report
from rsmooth.report.runs import default_radii, distinct_names
from tests.report.by_hand import run_of, write_run, write_tables


def test_names_are_what_differs(tmp_path):
    paths = [tmp_path / "x" / "gaussian", tmp_path / "y" / "gaussian", tmp_path / "y" / "b.tsv"]
    assert distinct_names(paths) == ["x/gaussian", "y/gaussian", "y/b"]
    assert distinct_names(paths[:1]) == ["gaussian"]
    assert distinct_names(
        [tmp_path / "a" / "certificates.tsv", tmp_path / "b" / "certificates.jsonl"]
    ) == ["a", "b"]


def test_files_of_one_run_folder_have_names_of_their_own(tmp_path):
    paths = [tmp_path / "a", tmp_path / "a" / "certificates.tsv", tmp_path / "b"]
    assert distinct_names(paths) == ["a", "certificates.tsv", "b"]


def test_a_run_is_not_compared_with_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for first, second in (("a", "a"), ("a", "./a/"), ("a", str(tmp_path / "a"))):
        with pytest.raises(
            ValueError, match=r"expected every run once, got .*a twice; leave one out"
        ):
            report([first, "b", second])


def test_names_can_be_given(tmp_path):
    paths = write_tables(tmp_path)
    assert [run.name for run in load_runs(paths, ["one", "two"])] == ["one", "two"]
    with pytest.raises(ValueError, match="expected 2 names"):
        load_runs(paths, ["one"])
    with pytest.raises(ValueError, match="at least one run"):
        report([])


@pytest.mark.parametrize(
    ("reach", "radii"),
    [
        (0.17, [0.05, 0.1, 0.15]),
        (0.4574, [0.1, 0.2, 0.3, 0.4]),
        (0.9529, [0.25, 0.5, 0.75]),
        (3.8114, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]),
        (0.0, []),
    ],
)
def test_default_radii_follow_the_data(reach, radii):
    run = run_of(
        radius=[reach, 0, 0, 9.0], label=[0, 0, 1, 0], predict=[0, 0, 1, 1], correct=[1, 1, 1, 0]
    )
    assert default_radii([run]) == radii


def test_a_broken_summary_is_named(tmp_path):
    folder = write_run(tmp_path / "a", [900])
    (folder / "summary.json").write_text("{}")
    with pytest.raises(RecordError, match=r"expected seconds\.train\.wall in .*summary\.json"):
        load_runs([folder])


def test_names_must_differ(tmp_path):
    with pytest.raises(ValueError, match="expected names that differ, got a, a"):
        load_runs([tmp_path, tmp_path / "b"], ["a", "a"])
