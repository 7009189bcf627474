"""Deterministic certificates of a data set: recorded, resumed, shared out."""

import json

import numpy as np
import pytest
import torch

from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.deterministic import BoundEngine
from rsmooth.certify.run import proofs
from rsmooth.certify.run.header import model_section
from rsmooth.certify.run.proofs import prove_dataset
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.files import read_log
from tests.certify.nets import small_net
from tests.certify.recorded import seven

COLUMNS = ("idx", "label", "predict", "radius", "correct", "proved_by", "margin")


def prove(path, epsilons=(0.001, 0.01, 0.03), **options):
    g = small_net(sigma=0.0)
    engine = BoundEngine(g, BoundSettings(epsilons=epsilons), (1, 4, 4))
    return prove_dataset(
        engine, seven(), path, model=model_section(g), **{"progress": False, **options}
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return prove(tmp_path_factory.mktemp("reference"))


def equal(first, second):
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    return True


def test_the_record_says_what_proved_each_image(tmp_path, reference):
    log = prove(tmp_path)
    assert equal(log, read_log(tmp_path))
    assert equal(log, reference)
    assert len(set(log.radius.tolist())) > 1
    assert ((log.proved_by != "") == (log.radius > 0)).all()
    assert ((log.margin > 0) == (log.radius > 0)).all()
    header, first = map(json.loads, (tmp_path / "certificates.jsonl").read_text().splitlines()[:2])
    header, first = header["data"], first["data"]
    assert header["statement"]["kind"] == "deterministic"
    assert header["bounds"] == ["ibp", "crown-ibp", "fast-lin"]
    assert "seed" not in header
    assert set(first) == {
        "idx", "label", "predict", "radius", "correct", "seconds", "bounds", "margin"
    }  # fmt: skip
    assert (tmp_path / "certificates.tsv").read_text().split()[3] == "radius_linf"


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path, reference, monkeypatch):
    monkeypatch.setattr(proofs, "IMAGES_AT_ONCE", 2)
    done = []
    whole = BoundEngine.prove

    def interrupted(self, x):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(len(x))
        return whole(self, x)

    monkeypatch.setattr(BoundEngine, "prove", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prove(tmp_path)
    assert len(read_log(tmp_path)) == 4
    monkeypatch.setattr(BoundEngine, "prove", whole)
    assert equal(prove(tmp_path), reference)


def test_ranks_share_the_images(tmp_path, reference, monkeypatch):
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        log = prove(tmp_path)
    assert equal(log, reference)
    assert len(list(tmp_path.glob("certificates.rank*.jsonl"))) == 2


@pytest.mark.usefixtures("forked_workers")
def test_workers_share_the_images(tmp_path, reference):
    assert equal(prove(tmp_path, workers=2), reference)


def test_another_configuration_is_refused(tmp_path):
    prove(tmp_path)
    with pytest.raises(RecordError, match=r"differs in .*epsilons"):
        prove(tmp_path, epsilons=[0.02])


def test_workers_are_counted_from_1(tmp_path):
    with pytest.raises(ValueError, match="workers >= 1, got 0"):
        prove(tmp_path, workers=0)
    assert torch.get_num_threads() >= 1


def test_the_figures_are_handed_over_at_the_epsilons(tmp_path):
    handed = []
    prove(tmp_path, on_certified=handed.append)
    names = [name for name in handed[0] if "/" in name]
    assert names == [f"certified_accuracy/{epsilon}" for epsilon in (0.001, 0.01, 0.03)]
