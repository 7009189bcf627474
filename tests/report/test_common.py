"""Runs on the images that all of them have, beside sums by hand."""

import numpy as np
import pytest

from rsmooth.cli.main import main
from rsmooth.report import load_runs, report
from rsmooth.report.common import on_common_images
from rsmooth.report.runs import Run
from tests.report.by_hand import HEAD, linf_log, write_run, write_tables

# Of these, the weak log has 1 (radius 0.2) and 3 (abstained), the strong one 1 (wrong), 3 (0.5).
OTHER = HEAD + "1\t0\t0\t0.40\t1\t10\n3\t1\t1\t0.60\t1\t10\n7\t1\t1\t0.70\t1\t10\n"


def three(tmp_path):
    (tmp_path / "other").write_text(OTHER)
    return [*write_tables(tmp_path), tmp_path / "other"]


def test_every_figure_is_one_of_the_common_images(tmp_path):
    made = report(three(tmp_path), tmp_path / "out", radii=[0.25, 0.5], common=True)
    weak, strong, other, _, constant = made.table.rows
    assert [row.images for row in (weak, strong, other)] == [2, 2, 2]
    assert weak.accuracy == (0.5, 0.0, 0.0)
    assert strong.accuracy == (0.5, 0.5, 0.5)
    assert other.accuracy == (1.0, 1.0, 0.5)
    assert constant.accuracy == (0.5, 0.5, 0.5)
    assert (weak.acr, strong.acr, other.acr) == pytest.approx((0.1, 0.25, 0.5))
    assert (weak.certify_seconds, strong.certify_seconds) == (20.0, 40.0)
    text = (tmp_path / "out" / "report.md").read_text()
    assert "not on the same images" not in text
    assert "2 images, of its 4 those that all have" in text
    assert "2 images, of its 3 those that all have" in text
    assert "| other | +50.0 ± 50.0 (p=1) |" in text  # of 1 and 0: their deviation by sqrt(2)


def test_a_run_without_others_stays_as_it_is(tmp_path):
    runs = load_runs(three(tmp_path)[:2])
    assert all(kept is run for kept, run in zip(on_common_images(runs), runs, strict=True))


def test_votes_are_cut_with_their_images(tmp_path):
    write_run(tmp_path / "run", [900, 950, 300, 1000])
    (tmp_path / "other").write_text(HEAD + "1\t1\t1\t0.40\t1\t10\n3\t1\t1\t0.60\t1\t10\n")
    run, other = on_common_images(load_runs([tmp_path / "run", tmp_path / "other"]))
    assert run.log.idx.tolist() == other.log.idx.tolist() == [1, 3]
    assert run.log.counts.tolist() == [[50, 950], [0, 1000]]
    assert run.log.provenance["cut_from"] == 4
    assert "fingerprint" not in run.log.provenance["dataset"]


def test_what_proves_and_what_an_attack_found_are_cut_too():
    proved = ["ibp", "crown", "", "ibp"]
    whole = Run("whole", linf_log(proved_by=proved), attacked=np.array([0.1, np.inf, 0.3, 0.4]))
    part = Run("part", linf_log(idx=[1, 5, 2, 6]))
    kept = on_common_images([whole, part])
    assert kept[0].log.idx.tolist() == kept[1].log.idx.tolist() == [1, 2]
    assert kept[0].attacked.tolist() == [np.inf, 0.3]
    assert kept[0].log.proved_by.tolist() == ["crown", ""]


def test_what_has_nothing_in_common_is_refused():
    runs = [Run("a", linf_log()), Run("b", linf_log(idx=[4, 5, 6, 7]))]
    with pytest.raises(ValueError, match="images that all 2 records have, got none"):
        on_common_images(runs)


def test_other_labels_of_the_same_images_are_told(tmp_path):
    (tmp_path / "other").write_text(HEAD + "1\t1\t1\t0.40\t1\t10\n9\t1\t1\t0.60\t1\t10\n")
    said = report([*write_tables(tmp_path), tmp_path / "other"], common=True).markdown
    assert "weak and other are not on the same images: other labels at idx 1." in said
    assert "common=True" not in said


def test_the_verb_and_the_advice_to_use_it(tmp_path, capsys):
    paths = [str(path) for path in three(tmp_path)]
    assert main(["report", *paths]) == 0
    assert "(--common true) a report compares runs on the images" in capsys.readouterr().out
    assert main(["report", *paths, "--common", "true"]) == 0
    said = capsys.readouterr().out
    assert "of its 4 those that all have" in said
    assert "--common" not in said
