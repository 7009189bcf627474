"""What is read from run folders, and how runs are called."""

import numpy as np
import pytest
from scipy import stats

from rsmooth.noise.distributions import Gaussian, Laplace, Uniform
from rsmooth.records.converting import in_norm
from rsmooth.records.log import CertificationLog
from rsmooth.report import load_runs, report
from rsmooth.report.reading import distinct_names
from rsmooth.report.runs import Run, by_statement, default_radii
from tests.report.by_hand import HEADER, UNIFORM, linf_log, run_of, write_tables


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


def test_deterministic_runs_have_the_radii_that_they_were_asked_for():
    assert default_radii([Run("ibp", linf_log())]) == [1 / 255, 2 / 255]
    silent = linf_log(provenance=None)
    silent.provenance.pop("epsilons")
    assert default_radii([Run("ibp", silent)]) == [1 / 255, 2 / 255]
    wide = CertificationLog.deterministic([0], [0], [19.5 / 255], norm="linf", method="ibp")
    assert default_radii([Run("ibp", wide)]) == [k / 255 for k in range(2, 20, 2)]


@pytest.mark.parametrize("noise", [Gaussian(0.25), Uniform(0.5), Laplace(0.2)])
def test_the_largest_radius_is_that_of_unanimous_votes(noise):
    """Of any noise: alpha^(1/n) is the lower bound at n hits of n."""
    header = {"noise": {"distribution": noise.record()}, "n": 1000, "alpha": 0.001}
    run = run_of(provenance=header)
    share = 0.001 ** (1 / 1000)
    exact = {
        "gaussian": 0.25 * stats.norm.ppf(share),
        "uniform": 2 * 0.5 * (share - 0.5),
        "laplace": -0.2 * np.log(2 * (1 - share)),
    }[noise.name]
    assert run.largest_radius == pytest.approx(exact, rel=1e-9)
    assert run.statement.norm == noise.norm
    assert run.sigma == (0.25 if noise.name == "gaussian" else None)
    assert run.noise == noise


def test_the_largest_radius_of_other_runs():
    assert Run("ibp", linf_log([1 / 255] * 4)).largest_radius == 2 / 255  # as it was asked
    assert run_of().largest_radius == 0.4  # as it is in the log
    converted = Run("x", in_norm(run_of(provenance=HEADER).log, "linf", 64))
    whole = run_of(provenance=HEADER).largest_radius
    assert converted.largest_radius == pytest.approx(whole / 8, rel=1e-12)
    assert converted.largest_radius <= whole / 8
    # Votes that were tested again after a look had the level of the last test.
    assert run_of(provenance={**HEADER, "alpha_spent": 0.2}).largest_radius == whole


def test_runs_are_grouped_by_what_they_state():
    gauss, uniform, ibp = run_of("g"), run_of("u", UNIFORM), Run("i", linf_log())
    more = run_of("h", HEADER)
    assert by_statement([gauss, uniform, ibp, more]) == [[gauss, more], [uniform], [ibp]]


def test_names_must_differ(tmp_path):
    with pytest.raises(ValueError, match="expected names that differ, got a, a"):
        load_runs([tmp_path, tmp_path / "b"], ["a", "a"])


@pytest.mark.parametrize(
    ("paths", "error", "message"),
    [
        ("runs/a", TypeError, r"expected a list of runs, got 'runs/a'; write \['runs/a'\]"),
        ([linf_log()], TypeError, "expected runs as paths, got CertificationLog; write a log"),
        (iter([]), ValueError, "expected at least one run folder or log, got none"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(paths, error, message):
    with pytest.raises(error, match=message):
        load_runs(paths)
