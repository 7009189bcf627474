"""The audit finds a forged certificate, and no fault with sound ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth.certify import (
    CertificationLog,
    CertifySettings,
    Predictions,
    certify,
    certify_dataset,
    predict,
)
from rsmooth.data import ImageData
from rsmooth.evaluate.auditing import Audit, audit
from rsmooth.noise import Laplace
from rsmooth.records.log import COLUMNS, VOTES
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import half_space, images


def eight() -> ImageData:
    return ImageData(
        images(8, seed=9),
        torch.zeros(8, dtype=torch.int64),
        torch.arange(8) + 10,
        2,
        "random",
        "test",
    )


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> CertificationLog:
    return certify_dataset(
        half_space(),
        eight(),
        tmp_path_factory.mktemp("run"),
        CertifySettings(n=500),
        workers=1,
        progress=False,
    )


def test_sound_certificates_stand_and_the_gap_is_measured(log: CertificationLog) -> None:
    found = audit(half_space(), eight(), log, steps=4, num_noise=4, n=200, factors=(0.5, 0.9, 3.0))
    assert len(found.idx) == int((log.radius > 0).sum()) >= 4
    assert not found.contradictions.any()
    assert found.p_value == 1.0
    assert not found.changed[:, 0].any()
    assert found.changed[:, 2].any()
    assert (found.attacked_radius[found.changed[:, 2]] > found.radius[found.changed[:, 2]]).all()
    # PGD on a half-space goes straight to the plane unless the box stops it, so the full length is
    # used.
    assert np.allclose(found.distance[:, 0], 0.5 * found.radius, atol=0.02)
    assert "contradicted certificates: 0" in found.summary()


def test_an_image_that_is_certified_wrong_is_attacked_as_certified(log: CertificationLog) -> None:
    """Away from the certified class; away from the true one would be further into the former."""
    options: dict[str, Any] = {"steps": 4, "num_noise": 4, "n": 200, "factors": (0.9, 3.0)}
    provenance = {**log.provenance, "dataset": {}}
    found = []
    for label in (log.predict, 1 - log.predict):
        certified = log.predict >= 0
        label = np.where(certified, label, 0)
        data = replace(eight(), labels=torch.from_numpy(label))
        own = replace(log, label=label, correct=log.predict == label, provenance=provenance)
        found.append(audit(half_space(), data, own, **options))
    right, wrong = found
    assert np.array_equal(right.distance, wrong.distance)
    assert np.array_equal(right.predicted, wrong.predicted)
    assert wrong.changed[:, 1].any()
    assert wrong.alpha == pytest.approx(log.provenance["alpha"] + 2 * 1e-3), "two predictions each"


def test_a_limit_takes_the_first_certified_images(log: CertificationLog) -> None:
    found = audit(half_space(), eight(), log, steps=1, num_noise=1, n=20, factors=(0.5,), limit=2)
    assert found.idx.tolist() == log.idx[log.radius > 0][:2].tolist()
    assert found.attempted == int((log.radius > 0).nonzero()[0][1]) + 1


def test_false_certificates_are_as_rare_as_alpha_among_all_images_that_were_attempted() -> None:
    """Of 1000 images 3 certificates, 2 of them false: at alpha 0.01, 10 were to be expected."""
    ones, wrong = np.ones(3), np.array([[1], [1], [0]])
    found = Audit(np.arange(3), np.zeros(3, int), ones, ones[:1], 0.5 * ones[:, None], wrong, 0.01)
    assert found.p_value == pytest.approx(3 * 0.01**2 * 0.99 + 0.01**3)
    among = replace(found, attempted=1000)
    assert among.p_value == pytest.approx(1 - 0.99**1000 - 1000 * 0.01 * 0.99**999)


def test_the_images_that_abstained_count_as_attempted(log: CertificationLog) -> None:
    radius = np.where(np.arange(8) % 2, 0.0, log.radius)
    found = audit(half_space(), eight(), replace(log, radius=radius), steps=1, n=20, factors=(0.5,))
    assert found.attempted == 8 > len(found.idx)


def test_forged_radius_is_contradicted(log: CertificationLog) -> None:
    forged = replace(log, radius=log.radius * 6)
    found = audit(half_space(), eight(), forged, steps=4, num_noise=4, n=200, factors=(0.9,))
    assert found.contradictions.sum() >= 2
    assert found.p_value < 1e-3
    wrong = int(found.contradictions.sum())
    assert repr(found) == f"Audit({len(found.idx)} images, {wrong} contradicted; factors [0.9])"


def test_unusable_logs_are_refused(log: CertificationLog) -> None:
    g, data = half_space(), eight()
    with pytest.raises(ValueError, match="another seed"):
        audit(g, data, log, seed=0)
    with pytest.raises(ValueError, match="another seed"):
        audit(g, data, replace(log, provenance={**log.provenance, "seeds": [0, 1]}), seed=1)
    with pytest.raises(ValueError, match=r"under gaussian sigma=0\.5, got gaussian sigma=0\.25"):
        audit(half_space(sigma=0.25), data, log)
    for bare in ({}, {"alpha": 0.001}):
        with pytest.raises(ValueError, match="got a table without them"):
            audit(g, data, replace(log, provenance=bare))
    with pytest.raises(ValueError, match="factors > 0"):
        audit(g, data, log, factors=())
    with pytest.raises(ValueError, match="limit of at least 1"):
        audit(g, data, log, limit=0)
    for nan in ((float("nan"),), (0.5, float("nan"))):
        with pytest.raises(ValueError, match="factors > 0"):
            audit(g, data, log, factors=nan)
    for name in ("seed", "limit"):
        for value in (True, 1.5, "1"):
            with pytest.raises(ValueError, match=f"expected an integer {name}, got"):
                audit(g, data, log, **{name: value})
    other = half_space()
    other.base.b += 0.1
    with pytest.raises(ValueError, match="whose weights differ"):
        audit(other, data, log)
    nothing = replace(log, radius=np.zeros(8))
    with pytest.raises(ValueError, match="certified images"):
        audit(g, data, nothing)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 3}, "expected n >= 11"),
        ({"alpha": 1.0}, r"expected a failure probability alpha in \(0, 1\)"),
        ({"num_noise": 0}, "expected num_noise >= 1"),
    ],
)
def test_a_prediction_that_cannot_be_is_refused_before_any_attack(
    options: dict[str, Any], said: str, log: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rsmooth.evaluate.auditing._attack", None)
    with pytest.raises(ValueError, match=said):
        audit(half_space(), eight(), log, **options)


def test_other_images_are_refused(log: CertificationLog) -> None:
    """Attacked, they would seem to contradict sound certificates."""
    options: dict[str, Any] = {"steps": 1, "num_noise": 1, "n": 20, "factors": (0.5,)}
    data = eight()
    more = torch.cat([data.images, images(1, seed=1)])
    whole = replace(
        data, images=more, labels=torch.zeros(9, dtype=torch.int64), index=torch.arange(9) + 10
    )
    one, other = (audit(half_space(), each, log, **options) for each in (data, whole))
    assert np.array_equal(one.distance, other.distance)
    for wrong in (
        data.subset([0, 1]),
        replace(data, index=torch.arange(8)),
        replace(data, labels=torch.ones(8, dtype=torch.int64)),
        replace(data, images=images(8, seed=10)),
    ):
        with pytest.raises(ValueError, match=r"expected the images of the log \(random test\)"):
            audit(half_space(), wrong, log, **options)


def test_images_that_were_certified_in_memory_are_known_by_their_pixels() -> None:
    data, g = eight(), half_space(1.0)
    made = certify(g, data.images, n0=20, n=200).to_log(data.labels, idx=data.index)
    options: dict[str, Any] = {"factors": [0.5], "steps": 1, "num_noise": 2, "n": 20}
    assert len(audit(g, data, made, **options).idx)
    other = replace(data, images=255 - data.images)
    with pytest.raises(ValueError, match="expected the images of the log"):
        audit(g, other, made, **options)


def test_an_unfinished_log_is_audited_too(log: CertificationLog) -> None:
    columns = {
        name: value[:4] for name in (*COLUMNS, *VOTES) if (value := getattr(log, name)) is not None
    }
    options: dict[str, Any] = {"steps": 1, "num_noise": 1, "n": 20, "factors": (0.5,)}
    found = audit(half_space(), eight(), replace(log, **columns), **options)
    assert found.idx.tolist() == log.idx[:4][log.radius[:4] > 0].tolist()
    columns["label"] = 1 - columns["label"]
    columns["correct"] = columns["predict"] == columns["label"]
    with pytest.raises(ValueError, match="expected the images of the log"):
        audit(half_space(), eight(), replace(log, **columns), **options)


def test_records_of_earlier_versions_are_audited_alike(log: CertificationLog) -> None:
    earlier = {key: value for key, value in log.provenance.items() if key != "statement"}
    for kind, arithmetic in (("grid", "integer"), ("float", "float")):
        before = replace(log, provenance={**earlier, "noise": {"kind": kind}})
        section = {**log.provenance["noise"], "arithmetic": arithmetic}
        now = replace(log, provenance={**log.provenance, "noise": section})
        one, other = (
            audit(half_space(), eight(), each, steps=2, num_noise=2, n=100, factors=(0.9, 1.5))
            for each in (before, now)
        )
        assert np.array_equal(one.predicted, other.predicted)
        assert np.array_equal(one.distance, other.distance)


def test_l1_certificates_are_not_measured_with_an_l2_attack(tmp_path: Path) -> None:
    g = SmoothedClassifier(half_space().base, noise=Laplace(0.3), num_classes=2)
    made = certify_dataset(g, eight(), tmp_path, CertifySettings(n=500), workers=1, progress=False)
    assert (made.radius > 0).any()
    with pytest.raises(ValueError, match=r"expected l2 certificates, .* got l1 radii"):
        audit(g, eight(), made, steps=1, num_noise=1, n=20)


def test_figure_takes_the_audit(log: CertificationLog, tmp_path: Path) -> None:
    from rsmooth.report.plots import attack_gap_figure

    found = audit(half_space(), eight(), log, steps=2, num_noise=2, n=100, factors=(3.0,))
    assert attack_gap_figure(found.radius, found.attacked_radius).axes


def test_the_network_is_executed_as_it_was_certified(
    log: CertificationLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def predicting(*args: Any, precision: str, **options: Any) -> Predictions:
        asked.append(precision)
        return predict(*args, **options)

    monkeypatch.setattr("rsmooth.evaluate.auditing.predict", predicting)
    numerics = {**log.provenance["numerics"], "dtype": "bfloat16"}
    spent = {**log.provenance, "numerics": numerics, "alpha_spent": 0.5}
    found = audit(
        half_space(),
        eight(),
        replace(log, provenance=spent),
        steps=1,
        num_noise=1,
        n=20,
        factors=(0.5,),
    )
    assert set(asked) == {"bfloat16"}
    assert found.alpha == pytest.approx(0.501)
