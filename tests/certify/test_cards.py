"""What a card says of a record: its own numbers, and only of the model that it is of."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from rsmooth import MODELS, SmoothedClassifier, load_dataset
from rsmooth.certify import (
    BoundEngine,
    BoundSettings,
    CertifySettings,
    certified_card,
    certify_dataset,
    prove_dataset,
)
from rsmooth.certify.run.header import model_hash
from rsmooth.records.converting import in_norm
from rsmooth.records.metrics import average_certified_radius, certified_accuracy


def classifier(seed: int = 0) -> SmoothedClassifier:
    torch.manual_seed(seed)
    return SmoothedClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), 0.25, 10)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    data = load_dataset("digits").test.subset(range(8))
    path = tmp_path_factory.mktemp("card") / "run.jsonl"
    settings = CertifySettings(n0=20, n=200)
    return certify_dataset(classifier(), data, path, settings, progress=False)


def test_a_card_has_the_numbers_of_the_record(log) -> None:
    card = certified_card(log, classifier(), [0.0, 0.1])
    share = certified_accuracy(log, 0.1)
    assert card["acr"][0] == pytest.approx(average_certified_radius(log), abs=1e-4)
    assert card["accuracy"]["0.1"] == pytest.approx(
        [100 * share, 100 * (share * (1 - share) / 8) ** 0.5], abs=0.01
    )
    assert card["statement"]["norm"] == "l2"
    assert "float_noise" not in card
    made = {**log.provenance, "noise": {**log.provenance["noise"], "arithmetic": "float"}}
    assert certified_card(replace(log, provenance=made), classifier())["float_noise"] is True
    assert card["abstained"] == (log.predict < 0).sum()


def test_records_of_others_or_of_a_part_are_refused(log) -> None:
    with pytest.raises(ValueError, match="expected a record of the model"):
        certified_card(log, classifier(1))
    made = log.provenance
    part = {**made, "dataset": {**made["dataset"], "images": 9}}
    with pytest.raises(ValueError, match=r"expected a sound record of all .* got 8 of 9"):
        certified_card(replace(log, provenance=part), classifier())
    with pytest.raises(ValueError, match="got one of None"):
        certified_card(replace(log, provenance={}), classifier())
    unnamed = {key: value for key, value in made.items() if key != "dataset"}
    with pytest.raises(ValueError, match="expected a record that names its data set"):
        certified_card(replace(log, provenance=unnamed), classifier())


def test_a_converted_record_has_the_radii_that_it_decided_in_its_new_norm(log) -> None:
    made = {**log.provenance, "mode": "grid", "mode_options": {"radii": [0.1, 0.0]}}
    card = certified_card(in_norm(replace(log, provenance=made), "linf"), classifier())
    assert card["statement"]["norm"] == "linf"
    assert list(card["accuracy"]) == ["0", f"{0.1 / 8:g}"]
    assert card["accuracy"]["0.0125"][0] == 100 * certified_accuracy(log, 0.1) > 0


def test_deterministic_certificates_have_the_radii_that_they_were_asked_for(tmp_path) -> None:
    g = SmoothedClassifier(MODELS.create("mlp", hidden=()), 0.0, 10)
    data = load_dataset("digits").test.subset(range(4))
    engine = BoundEngine(g, BoundSettings(epsilons=(1 / 255, 2 / 255), bounds=("ibp",)), (1, 8, 8))
    model = {"hash": model_hash(g)}
    log = prove_dataset(engine, data, tmp_path / "run.jsonl", model=model, progress=False)
    card = certified_card(log, g, [0.25])
    assert list(card["accuracy"]) == ["0", f"{1 / 255:g}", f"{2 / 255:g}"]
    assert not {"acr", "numerics"} & set(card)
    g.save(f"{tmp_path / 'hub'}/", certified=[card])
    assert "Radii in linf, deterministic." in (tmp_path / "hub" / "README.md").read_text()
