"""The lines that users write, from data to certified accuracy, twice to the same numbers."""

import numpy as np
import pytest
import torch

from rsmooth import (
    ATTACKS,
    DDN,
    MODELS,
    PGD,
    TRAINERS,
    NaiveDDN,
    NaivePGD,
    SmoothAdvDDN,
    SmoothAdvPGD,
    SmoothedClassifier,
    Trainer,
    certify,
    certify_dataset,
    load_dataset,
    predict,
)
from rsmooth.certify import (
    CertifySettings,
    average_certified_radius,
    certified_accuracy,
    envelope,
    lower_confidence_bound,
    read_log,
    write_log,
)
from rsmooth.data import to_unit


def trained(seed: int = 0) -> SmoothedClassifier:
    torch.manual_seed(seed)
    base = MODELS.create("small-cnn", num_classes=10, in_channels=1, width=8)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
    train = load_dataset("digits").train.subset(range(512))
    Trainer(
        attack=SmoothAdvPGD(epsilon=0.25, steps=2),
        num_noise=2,
        epochs=4,
        batch_size=64,
        schedule="one-cycle",
        warmup_epochs=1,
        precision="float32",
    ).fit(g, train, progress=False)
    return g


@pytest.fixture(scope="module")
def g() -> SmoothedClassifier:
    return trained()


def test_the_whole_road(g, tmp_path):
    test = load_dataset("digits").test.subset(range(12))
    x, y = to_unit(test.images), test.labels

    x_adv = SmoothAdvPGD(epsilon=0.5, steps=5)(g, x, y, num_noise=8)
    assert x_adv.shape == x.shape
    assert (x_adv - x).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5

    result = certify(g, x, n0=50, n=1000, alpha=1e-3, seed=0)
    assert result.label.shape == result.radius.shape == (12,)
    assert result.counts.shape == (12, 10)
    right = result.label == y
    assert right.sum() >= 6, "512 digits and 4 epochs are enough for most of twelve images"
    assert predict(g, x[right], n=100, seed=1).label.tolist() == y[right].tolist()

    log = certify_dataset(
        g,
        test,
        tmp_path / "certificates.jsonl",
        CertifySettings(n0=50, n=1000, alpha=1e-3, seed=0),
        workers=1,
        progress=False,
    )
    assert log.idx.tolist() == test.index.tolist()
    write_log(log, tmp_path / "log.tsv")
    again = read_log(tmp_path / "log.tsv")
    np.testing.assert_array_equal(again.radius, log.radius)
    accuracy = certified_accuracy(again, [0.0, 0.25])
    assert accuracy[0] >= accuracy[1]
    np.testing.assert_array_equal(envelope([log, again], [0.0, 0.25]), accuracy)
    assert average_certified_radius(again) == pytest.approx(np.mean(log.radius * log.correct))
    assert lower_confidence_bound(1000, 1000, 1e-3) == pytest.approx(1e-3 ** (1 / 1000))


def test_a_saved_model_gives_the_same_certificates(g, tmp_path):
    x = to_unit(load_dataset("digits").test.images[:4])
    g.save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    assert loaded.sigma == g.sigma
    first, second = (certify(m, x, n0=20, n=200, precision="float32") for m in (g, loaded))
    np.testing.assert_array_equal(np.asarray(first.counts), np.asarray(second.counts))


def test_training_twice_gives_the_same_weights(g):
    again = trained()
    for name, value in g.base.state_dict().items():
        assert torch.equal(value, again.base.state_dict()[name]), name


def test_the_four_attacks_and_registries_agree():
    assert NaivePGD(epsilon=1, steps=2) == PGD(
        epsilon=1, steps=2, target="smoothed", objective="naive"
    )
    assert SmoothAdvPGD(epsilon=1, steps=2) == PGD(
        epsilon=1, steps=2, target="smoothed", objective="smoothadv"
    )
    assert NaiveDDN(epsilon=1, steps=2) == DDN(
        epsilon=1, steps=2, target="smoothed", objective="naive"
    )
    assert SmoothAdvDDN(epsilon=1, steps=2) == DDN(
        epsilon=1, steps=2, target="smoothed", objective="smoothadv"
    )
    attack = ATTACKS.create("ddn", epsilon=0.5, steps=4)
    assert TRAINERS.create("noise-then-perturb", attack=attack).attack == DDN(epsilon=0.5, steps=4)
