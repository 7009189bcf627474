"""What certify returns meets the rest of the library: logs, files, metrics, notebooks, pandas."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.certify.cohen import certify, predict
from rsmooth.certify.results import MOST_ROWS, Certificates, Predictions, _html
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log, write_log
from rsmooth.records.log import COLUMNS
from rsmooth.records.metrics import certified_accuracy, label_probability
from rsmooth.records.statement import Statement
from tests.certify.nets import half_space, images

Y = torch.tensor([0, 1, 1, 0])
UNIFORM = {"noise": {"distribution": {"name": "uniform", "half_width": 0.5}}, "n": 10}


def by_hand(**change: Any) -> Certificates:
    """Right at .25, right at .5, wrong at .75, abstained."""
    made = Certificates(
        label=torch.tensor([0, 1, 0, -1]),
        radius=torch.tensor([0.25, 0.5, 0.75, 0.0], dtype=torch.float64),
        counts=torch.tensor([[9, 1], [0, 10], [10, 0], [5, 4]]),
        invalid=torch.tensor([0, 0, 0, 1]),
        selection=torch.tensor([[5, 0], [0, 5], [5, 0], [3, 2]]),
        samples=torch.tensor([10, 10, 10, 10]),
        looks=(((10, 9),),) * 4,
        provenance={"sigma": 0.25, "n": 10, "alpha": 0.001},
    )
    return replace(made, **change)


def test_accuracy_is_that_of_the_log() -> None:
    result = by_hand()
    np.testing.assert_array_equal(
        result.accuracy(Y, radii=[0.0, 0.25, 0.26, 0.6]), np.array([2, 2, 1, 0]) / 4
    )
    assert result.accuracy(Y) == 0.5
    with pytest.raises(TypeError, match=r"got Certificates; .* to_log\(y\)"):
        certified_accuracy(result, 0.25)  # type: ignore[arg-type]


def test_a_log_holds_all_that_the_result_held() -> None:
    log = by_hand().to_log(Y, idx=[7, 5, 3, 1])
    assert log.idx.tolist() == [1, 3, 5, 7]
    assert log.label.tolist() == [0, 1, 1, 0]
    assert log.predict.tolist() == [-1, 0, 1, 0]
    assert log.radius.tolist() == [0.0, 0.75, 0.5, 0.25]
    assert log.correct.tolist() == [False, False, True, True]
    assert log.invalid is not None
    assert log.selection is not None
    assert log.invalid.tolist() == [1, 0, 0, 0]
    assert log.selection[0].tolist() == [3, 2]
    assert label_probability(log).tolist() == [0.5, 0.0, 1.0, 0.9]
    assert log.statement == Statement(alpha=0.001)
    assert by_hand(selection=None).to_log(Y).selection is None
    assert by_hand().to_log(Y).idx.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_labels_of_every_kind_make_one_record(kind: Any) -> None:
    result = by_hand()
    y = kind(Y.tolist())
    assert result.to_log(y).correct.tolist() == result.to_log(Y).correct.tolist()
    assert result.accuracy(y) == result.accuracy(Y)


@pytest.mark.parametrize(
    ("y", "idx", "error", "reason"),
    [
        (torch.tensor([0, 1]), None, ValueError, "expected 4 integer labels"),
        (torch.tensor([0, 1, 2, 0]), None, ValueError, r"expected labels within 0\.\.1"),
        ([0, 1, 1, 2], None, ValueError, r"expected labels within 0\.\.1"),
        ([0.0, 1.0, 1.0, 0.0], None, ValueError, "expected integer labels, got torch.float64"),
        ([False, True, True, False], None, ValueError, "expected integer labels, got torch.bool"),
        (Y, [1, 1, 2, 3], RecordError, "expected every idx once"),
        (Y, [1, 2], RecordError, "columns of one length"),
    ],
)
def test_labels_that_do_not_fit_are_refused(y: Any, idx: Any, error: type, reason: str) -> None:
    with pytest.raises(error, match=reason):
        by_hand().to_log(y, idx=idx)


def test_from_certify_to_a_file_and_back(tmp_path: Any) -> None:
    result = certify(half_space(), images(8), n=500, mode="grid", radii=[0.1, 0.2])
    y = (torch.arange(8) % 2).long()
    log = result.to_log(y)
    write_log(log, tmp_path / "certificates.tsv")
    again = read_log(tmp_path / "certificates.tsv")
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(again, name), getattr(log, name), err_msg=name)
    assert again.statement == log.statement == result.statement
    assert again.provenance == json.loads(json.dumps(log.provenance))
    assert again.provenance.pop("pixels")
    assert again.provenance.pop("keyed_by") == "pixels"
    assert again.provenance == json.loads(json.dumps(result.provenance))
    np.testing.assert_array_equal(
        result.accuracy(y, radii=[0.0, 0.1, 0.2]), certified_accuracy(again, [0.0, 0.1, 0.2])
    )


@pytest.mark.parametrize(
    ("index", "idx", "keyed_by"),
    [
        (None, [7, 3, 9, 8], "pixels"),
        ([0, 1, 2, 3], None, "idx"),
        ([7, 3, 9, 8], [7, 3, 9, 8], "idx"),
        ([7, 3, 9, 8], None, "index"),
    ],
)
def test_the_votes_of_a_record_can_be_drawn_again(index: Any, idx: Any, keyed_by: str) -> None:
    g, x, y = half_space(), images(4), torch.zeros(4, dtype=torch.int64)
    given = None if index is None else torch.tensor(index)
    log = certify(g, x, n=100, index=given).to_log(y, idx=idx)
    assert log.provenance["keyed_by"] == keyed_by
    assert (log.provenance.get("index") is not None) == (keyed_by == "index")
    places = torch.arange(4) if idx is None else torch.tensor(idx)
    key = {"pixels": None, "idx": places, "index": given}[keyed_by]
    again = certify(g, x, n=100, index=key).to_log(y, idx=idx)
    assert again.provenance == log.provenance
    np.testing.assert_array_equal(again.counts, log.counts)
    other = certify(g, x, n=100, index=places + 1).to_log(y, idx=idx)
    assert other.provenance["index"] != log.provenance.get("index")


def test_the_norm_is_that_of_the_noise() -> None:
    assert by_hand().norm == "l2"
    assert by_hand(provenance=UNIFORM).norm == "l1"
    assert "l1 radii 0.25 to 0.75, median 0.5; uniform λ=0.5" in repr(by_hand(provenance=UNIFORM))


def test_a_result_is_shown_in_a_line() -> None:
    assert repr(by_hand()) == (
        "Certificates(4 images, 1 abstained; l2 radii 0.25 to 0.75, median 0.5; σ=0.25, n=10, "
        "probabilistic (alpha 0.001))"
    )
    nothing = by_hand(label=torch.full((4,), -1), radius=torch.zeros(4, dtype=torch.float64))
    assert "4 images, 4 abstained; no radii" in repr(nothing)
    g, x = half_space(), images(30)
    assert len(repr(certify(g, x, n=100))) < 200
    assert re.fullmatch(
        r"Predictions\(30 images, \d+ abstained; p-values .*\)", repr(predict(g, x))
    )
    assert repr(Predictions.of([], 2)) == "Predictions(0 images, 0 abstained)"
    assert repr(Certificates.of([], 2, {})).startswith("Certificates(0 images")


def test_notebooks_get_a_table_of_the_first_images_with_everything_escaped() -> None:
    page = by_hand()._repr_html_()
    assert "<tr><th>image</th><th>label</th><th>l2 radius</th><th>samples</th></tr>" in page
    assert "<tr><td>1</td><td>1</td><td>0.5</td><td>10</td></tr>" in page
    assert "<tr><td>3</td><td>abstained</td><td>0</td><td>10</td></tr>" in page
    assert "more" not in page
    wild = by_hand(provenance={"n": "<script>alert(1)</script>", "sigma": 0.25})
    assert "<script>" not in wild._repr_html_()
    assert "&lt;script&gt;" in wild._repr_html_()
    assert _html("a", ["<b>"], [["<i>"]], 1).count("&lt;") == 2
    g, x = half_space(), images(MOST_ROWS + 3)
    for result in (certify(g, x, n=100), predict(g, x)):
        page = result._repr_html_()
        assert page.count("<tr>") == MOST_ROWS + 1
        assert page.endswith("<p>and 3 more</p>")


def test_pandas_gets_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    stub = ModuleType("pandas")
    stub.DataFrame = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stub)
    frame = by_hand().to_pandas()
    assert list(frame) == ["label", "radius", "samples", "invalid", "votes_0", "votes_1"]
    assert frame["radius"].tolist() == [0.25, 0.5, 0.75, 0.0]
    assert frame["votes_1"].tolist() == [1, 10, 0, 4]


def test_without_pandas_there_is_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"expected pandas for to_pandas\(\), .*pip install"):
        by_hand().to_pandas()
