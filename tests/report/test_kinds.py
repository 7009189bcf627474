"""One table of proved certificates and of those of smoothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from rsmooth.records.files import read_log, write_log
from rsmooth.records.journal import config_hash
from rsmooth.records.log import CertificationLog
from rsmooth.report.blocks import to_markdown
from rsmooth.report.document import report
from rsmooth.report.kinds import kinds_csv, kinds_section, kinds_table
from rsmooth.report.runs import Run

EPSILON = 2 / 255
LABEL = np.array([0, 1, 2, 3])


def proved(radius, *, sound=True, method="ibp, crown-ibp", **options):
    return CertificationLog.deterministic(
        LABEL, [0, 1, 2, 0], radius, norm="linf", method=method, sound=sound,
        epsilons=[EPSILON], provenance={"dataset": {"shape": [1, 2, 2]}}, **options,
    )  # fmt: skip


def smoothed():
    """l2 radii: 2/255 of linf needs 4/255 of l2 in four dimensions."""
    return CertificationLog(
        idx=np.arange(4), label=LABEL, predict=LABEL, radius=np.array([4.01, 3.99, 9, 0]) / 255,
        correct=np.ones(4), time=np.ones(4),
        provenance={"sigma": 0.25, "alpha": 0.001, "n": 100_000, "dataset": {"shape": [1, 2, 2]}},
    )  # fmt: skip


def runs():
    names = ["ibp", "ibp", "", "crown-ibp"]
    attacked = np.array([np.inf, EPSILON, np.inf, np.inf])
    return [
        Run("ours", proved([EPSILON, 0, 0, EPSILON], proved_by=names), attacked=attacked),
        Run("cascade", proved([EPSILON] * 4, sound=False, method="published rule")),
        Run("smoothed", smoothed()),
    ]


def test_all_kinds_stand_in_one_table():
    ours, cascade, noisy = kinds_table(runs(), [EPSILON]).rows
    assert ours.certified == (0.75, 0.25)
    assert ours.attacked == (0.75, 0.5)
    assert ours.proved_by == "ibp 67 %, crown-ibp 33 %"
    assert (ours.certificate, ours.failure) == ("linf, deterministic", "0")
    assert (cascade.certificate, cascade.failure) == ("-", "-")
    assert noisy.certified == (1.0, 0.5)
    assert noisy.certificate == "l2, probabilistic, containment"
    assert (noisy.proved_by, noisy.failure) == ("n=100,000", "0.001 per image")
    assert noisy.attacked is None


def test_what_is_not_sound_is_in_brackets():
    text = to_markdown(kinds_section(kinds_table(runs(), [EPSILON])))
    header, _, ours, cascade, noisy = text.splitlines()[2:7]
    assert "| linf 2/255 | attacked 2/255 | proved by |" in header
    assert ours.startswith("| ours | linf, deterministic | 4 | 75.0 ±")
    assert "| 25.0 ± 21.7 | 50.0 |" in ours
    assert cascade.startswith("| cascade (not sound) | - | 4 | 75.0 ±")
    assert "| (75.0 ± 21.7) | - |" in cascade
    assert "| 50.0 ±" in noisy


@pytest.mark.parametrize(
    ("asked", "cells"),
    [
        # 4/255 of l2 are needed: at most a thousandth more counts as it is
        ([4.001 / 255], ["-", "25.0 ± 21.7"]),
        ([0.0, 4.001 / 255], ["100.0 ± 0.0", "25.0 ± 21.7"]),
        ([4.01 / 255], ["-", "-"]),
        ([3.999 / 255], ["-", "-"]),
    ],
)
def test_what_mode_grid_did_not_decide_is_left_out(asked, cells):
    log = smoothed()
    radius = np.array([asked[-1], 0, 0, 0])
    decided = {"mode": "grid", "mode_options": {"radii": asked}}
    log = replace(log, radius=radius, provenance={**log.provenance, **decided})
    table = kinds_table([Run("grid", log)], [EPSILON])
    line = to_markdown(kinds_section(table)).splitlines()[4]
    assert [cell.strip() for cell in line.split("|")][4:6] == cells
    values = [row.split(",")[-3] for row in kinds_csv(table).splitlines()[1:]]
    assert ["-" if value == "" else value for value in values] == [
        cell if cell == "-" else str(float(cell.split()[0]) / 100) for cell in cells
    ]


def test_the_table_as_csv():
    lines = kinds_csv(kinds_table(runs(), [EPSILON])).splitlines()
    assert len(lines) == 1 + 3 * 2
    assert lines[2].startswith('ours,linf,deterministic,True,4,"ibp 67 %, crown-ibp 33 %",,')
    assert lines[2].endswith(",0.5")


def folder(path, radius):
    path.mkdir()
    write_log(proved(radius), path / "certificates.tsv")
    return path


def test_a_report_brackets_every_deterministic_run(tmp_path):
    run = folder(tmp_path / "a", [EPSILON, 0, 0, 0])
    attacked = {"idx": [0, 1, 2, 3], "attacked": [None, EPSILON, None, None]}
    (run / "audit.json").write_text(json.dumps(attacked))
    made = report([run], tmp_path / "out")
    (row,) = made.kinds.rows
    assert (row.certified[1], row.attacked[1]) == (0.25, 0.5)
    assert "## All certificates at linf radii" in made.markdown
    assert "proofs are false" not in made.markdown
    assert (tmp_path / "out" / "kinds.csv").exists()


def test_a_false_proof_is_said_aloud(tmp_path):
    run = folder(tmp_path / "a", [EPSILON, 0, 0, 0])
    attacked = {"idx": [0, 1, 2, 3], "attacked": [EPSILON, None, None, None]}
    (run / "audit.json").write_text(json.dumps(attacked))
    assert "within the radius of 1 images, so their proofs are false" in report([run]).markdown


def test_an_audit_of_another_record_bounds_nothing(tmp_path, caplog):
    """Such as the one that a run folder had before it was certified anew."""
    run = folder(tmp_path / "a", [EPSILON, 0, 0, 0])
    own = config_hash(read_log(run).provenance)
    for config, attacked in ((own, (0.75, 0.5)), ("0" * 16, None)):
        found = {"idx": [0, 1, 2, 3], "attacked": [None, EPSILON, None, None], "config": config}
        (run / "audit.json").write_text(json.dumps(found))
        assert report([run]).kinds.rows[0].attacked == attacked
        assert ("audit.json is of another record" in caplog.text) == (attacked is None)


def test_an_audit_of_some_images_bounds_nothing(tmp_path):
    run = folder(tmp_path / "a", [EPSILON, 0, 0, 0])
    (run / "audit.json").write_text(json.dumps({"idx": [0], "attacked": [None]}))
    assert report([run]).kinds.rows[0].attacked is None
    (run / "audit.json").write_text("{}")
    with pytest.raises(ValueError, match="expected idx and attacked in"):
        report([run])


def test_records_in_other_units_are_left_out(tmp_path):
    statement = {"norm": "other", "unit": "degrees", "kind": "probabilistic", "method": "x"}
    other = replace(smoothed(), provenance={"statement": statement})
    write_log(proved([EPSILON, 0, 0, 0]), tmp_path / "ibp.tsv")
    write_log(other, tmp_path / "turned.tsv")
    made = report([tmp_path / "ibp.tsv", tmp_path / "turned.tsv"], linf=[EPSILON], dimension=4)
    assert made.kinds is not None
    assert [row.run.name for row in made.kinds.rows] == ["ibp"]
