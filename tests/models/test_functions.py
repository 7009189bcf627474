"""Functions of numpy arrays as base classifiers: votes as of the same network, no gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth import (
    ATTACKS,
    PGD,
    SmoothAdvPGD,
    SmoothedClassifier,
    Trainer,
    certify,
    load_dataset,
    predict,
)
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.models import FunctionClassifier
from rsmooth.models.functions import function_of
from rsmooth.noise import Uniform

WEIGHTS = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)
DATA = load_dataset("digits").test.subset(range(0, 60, 20))


def scores(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1) @ WEIGHTS


def classes(x: np.ndarray) -> np.ndarray:
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    return scores(x).argmax(axis=1)


def network() -> SmoothedClassifier:
    layer = nn.Linear(64, 10, bias=False)
    layer.weight.data = torch.from_numpy(WEIGHTS.T.copy())
    return SmoothedClassifier(nn.Sequential(nn.Flatten(), layer), 0.25, 10)


def smoothed(function=classes, **options) -> SmoothedClassifier:
    return SmoothedClassifier.from_function(function, 0.25, 10, **options)


@pytest.mark.parametrize("function", [classes, scores, lambda x: torch.from_numpy(classes(x))])
def test_a_function_gets_the_votes_of_the_network_that_it_is(function) -> None:
    """Numpy and torch sum in another order; no copy of these images is so close to a tie."""
    wanted = certify(network(), DATA, n0=20, n=500)
    found = certify(smoothed(function), DATA, n0=20, n=500)
    assert torch.equal(found.counts, wanted.counts)
    assert torch.equal(found.radius, wanted.radius)
    assert torch.equal(
        predict(smoothed(function), DATA, n=100).label, predict(network(), DATA, n=100).label
    )


@pytest.mark.parametrize("small", [1e-60, 1e-30])
def test_scores_that_float32_does_not_tell_apart_keep_their_order(small: float) -> None:
    """Such as densities in 64 dimensions: in float32 all of them would be 0, and the class 0."""

    def tiny(x: np.ndarray) -> np.ndarray:
        return small * (1 + 1e-9 * scores(x).astype(np.float64))

    wanted = certify(smoothed(scores), DATA, n0=20, n=200)
    found = certify(smoothed(tiny), DATA, n0=20, n=200)
    assert torch.equal(found.counts, wanted.counts)


def test_g_of_classes_is_their_share_of_votes() -> None:
    x = DATA.images[:1].float() / 255
    g = smoothed()
    with g.frozen_noise(seed=0, num_noise=8):
        share = g(x).exp()
        noisy = x + g.frozen_sample(x)[0]
    votes = np.bincount(classes(noisy.numpy()), minlength=10)
    torch.testing.assert_close(share[0], torch.from_numpy(votes / 8).float())


def test_other_noise_works_too() -> None:
    g = SmoothedClassifier.from_function(classes, num_classes=10, noise=Uniform(0.25))
    assert certify(g, DATA, n=100).norm == "l1"
    with pytest.raises(ValueError, match="expected num_classes >= 2, got None"):
        SmoothedClassifier.from_function(classes, 0.25)


@pytest.mark.usefixtures("forked_workers")
def test_the_record_says_which_function_it_is_about(tmp_path) -> None:
    settings = CertifySettings(n0=20, n=200)
    stated = smoothed(name="svm", sha256="ab" * 32)
    log = certify_dataset(stated, DATA, tmp_path / "a.jsonl", settings, workers=2, progress=False)
    assert log.provenance["model"]["function"] == {"name": "svm", "sha256": "ab" * 32}
    other = smoothed(name="svm", sha256="cd" * 32)
    with pytest.raises(ValueError, match="model"):
        certify_dataset(other, DATA, tmp_path / "a.jsonl", settings, progress=False)
    log = certify_dataset(smoothed(), DATA, tmp_path / "b.jsonl", settings, progress=False)
    assert log.provenance["model"]["function"] == {"name": "classes", "sha256": "none"}


def test_functions_that_other_processes_cannot_have(tmp_path) -> None:
    g = smoothed(lambda x: classes(x), name="mine")
    with pytest.raises(ValueError, match="that worker processes can import, got mine; define"):
        certify_dataset(
            g, DATA, tmp_path / "a.jsonl", CertifySettings(n=100), workers=2, progress=False
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda g, x, y: PGD(epsilon=0.5, steps=1)(g, x, y),
        lambda g, x, y: SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, y),
        lambda g, x, y: ATTACKS.create("ddn", epsilon=0.5, steps=1)(g, x, y),
        lambda g, x, y: torch.autograd.grad(g(x.requires_grad_()).sum(), x),
    ],
)
def test_attacks_by_gradients_are_refused(call) -> None:
    x, y = DATA.images.float() / 255, DATA.labels
    with pytest.raises(TypeError, match="where a gradient is asked for, got the function classes"):
        call(smoothed(), x, y)


def test_it_is_neither_trained_nor_saved(tmp_path) -> None:
    with pytest.raises(ValueError, match="parameters to train, got FunctionClassifier"):
        Trainer(epochs=1).fit(smoothed(), DATA)
    with pytest.raises(ValueError, match="with weights to save, got the function classes"):
        smoothed().save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("options", [{"compile": "always"}, {"precision": "bfloat16"}])
def test_it_runs_as_it_is(options) -> None:
    with pytest.raises((ValueError, TypeError), match="'float32' for the function classes"):
        certify(smoothed(), DATA, n=100, **options)
    with pytest.raises(TypeError, match="precision='float32'"):
        smoothed().base(torch.zeros(1, 1, 8, 8, dtype=torch.bfloat16))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: scores(x)[:, :3], r"scores \(\d+, 10\) as floats, .* got float32 \(\d+, 3\)"),
        (lambda x: np.full(len(x), 10), r"classes within 0\.\.9 .* got 10\.\.10"),
        (lambda x: np.full(len(x), -1), r"classes within 0\.\.9 .* got -1\.\.-1"),
        (lambda x: np.zeros(len(x)), r"got float64 \(\d+,\)"),
        (lambda x: np.zeros((len(x), 1), int), r"got int64 \(\d+, 1\)"),
        (lambda x: np.zeros((len(x), 10), complex), "got complex128"),
        (lambda x: scores(x - x.mean()), "that answers each image on its own"),
        (lambda x: np.full((len(x), 10), np.nan), "expected a largest finite logit"),
    ],
)
def test_other_answers_are_refused(answer, words) -> None:
    with pytest.raises(ValueError, match=words):
        certify(smoothed(answer), DATA, n=100)


def test_what_is_no_function_is_refused() -> None:
    for given in (nn.Flatten(), "model.onnx"):
        with pytest.raises(TypeError, match="expected a function of a numpy array"):
            FunctionClassifier(given, 10)


def test_a_copy_shares_the_function() -> None:
    base = FunctionClassifier(classes, 10, name="mine", sha256="00").eval()
    other = copy.deepcopy(base)
    assert other.function is base.function
    assert repr(other) == repr(base)
    assert not other.training
    assert function_of(nn.Sequential(nn.Identity(), base)) is base
    assert function_of(nn.Identity()) is None
