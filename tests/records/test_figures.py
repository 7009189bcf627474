"""The figures of a record, by name, against those of the functions that they are made of."""

import numpy as np
import pytest

from rsmooth.plumbing.errors import RecordError
from rsmooth.records import in_norm
from rsmooth.records.figures import asked_radii, figures_of
from rsmooth.records.log import CertificationLog


def log(**provenance):
    return CertificationLog(
        idx=np.arange(4),
        label=np.array([0, 1, 2, 0]),
        predict=np.array([0, 1, 0, -1]),
        radius=np.array([0.3, 0.8, 0.5, 0.0]),
        correct=np.array([True, True, False, False]),
        time=np.zeros(4),
        provenance=provenance,
    )


def test_the_usual_figures_of_four_images():
    found = figures_of(log())
    assert found == {
        "images": 4.0,
        "accuracy": 0.5,
        "abstained": 0.25,
        "average_certified_radius": pytest.approx((0.3 + 0.8) / 4),
        "certified_accuracy/0.25": 0.5,
        "certified_accuracy/0.5": 0.25,
        "certified_accuracy/0.75": 0.25,
        "certified_accuracy/1": 0.0,
        "certified_accuracy/1.25": 0.0,
        "certified_accuracy/1.5": 0.0,
    }
    assert all(type(value) is float for value in found.values())
    assert figures_of(log(), radii=[0.3])["certified_accuracy/0.3"] == 0.5


@pytest.mark.parametrize(
    ("mode", "options", "radii"),
    [("radius", {"radius": 0.4}, (0.4,)), ("grid", {"radii": [0.8, 0.3]}, (0.3, 0.8))],
)
def test_where_only_some_radii_were_decided_there_is_nothing_else(mode, options, radii):
    record = log(mode=mode, mode_options=options)
    assert asked_radii(record) == radii
    assert figures_of(record) == {
        "images": 4.0,
        **{
            f"certified_accuracy/{radius}": {0.3: 0.5, 0.4: 0.25, 0.8: 0.25}[radius]
            for radius in radii
        },
    }
    assert asked_radii(log(mode="fixed")) is None


def test_deterministic_records_have_their_epsilons_and_linf_ones_pixel_steps():
    proofs = log(
        statement={"norm": "linf", "kind": "deterministic", "method": "ibp"}, epsilons=[0.0, 0.3]
    )
    found = figures_of(proofs)
    assert [name for name in found if "/" in name] == ["certified_accuracy/0.3"]
    assert found["accuracy"] == 0.5
    assert "average_certified_radius" not in found
    contained = in_norm(log(), "linf", dimension=64)
    names = [name for name in figures_of(contained) if "/" in name]
    assert len(names) == 8
    assert names[0] == f"certified_accuracy/{1 / 255:.4g}"


def test_an_empty_log_has_none():
    empty = CertificationLog(
        **dict.fromkeys(("idx", "label", "predict", "radius", "correct", "time"), np.zeros(0))
    )
    with pytest.raises(RecordError, match="at least one image"):
        figures_of(empty)
