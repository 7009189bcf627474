"""Torch's default device is for what users make: certificates and attacks are the same with it.

The device "meta" stands for a GPU: whatever is made there by mistake fails on the CPU.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth import SmoothAdvPGD, SmoothedClassifier, certify, load_dataset, predict
from rsmooth.bounds import Prover
from rsmooth.certify import CertifySettings, certify_dataset, certify_linf
from rsmooth.data import as_image_data
from rsmooth.defenses import Reweighting, pseudo_label
from rsmooth.evaluate import bracket, empirical_accuracy
from rsmooth.noise.known_answers import verify_known_answers

Y = torch.tensor([0, 1, 1])
X = torch.randint(0, 256, (3, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 255


def classifier(sigma: float) -> SmoothedClassifier:
    torch.manual_seed(0)
    return SmoothedClassifier(nn.Sequential(nn.Flatten(), nn.Linear(16, 2)), sigma, 2).eval()


def certified(g: SmoothedClassifier, path: Any) -> Any:
    return certify(g, X, n0=10, n=100).to_log(Y).radius.tolist()


def predicted(g: SmoothedClassifier, path: Any) -> Any:
    return predict(g, X, n=100).label.tolist()


def recorded(g: SmoothedClassifier, path: Any) -> Any:
    settings = CertifySettings(n0=10, n=100)
    log = certify_dataset(g, as_image_data((X, Y)), path, settings, progress=False)
    return log.radius.tolist()


def proved(g: SmoothedClassifier, path: Any) -> Any:
    return certify_linf(g, X, epsilons=[0.001, 0.5]).to_log(Y).radius.tolist()


def frozen(g: SmoothedClassifier, path: Any) -> Tensor:
    with g.frozen_noise(0, 2), torch.no_grad():
        return g(X)


def attacked(g: SmoothedClassifier, path: Any) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return SmoothAdvPGD(epsilon=0.5, steps=2)(g, X, Y, num_noise=2, generator=generator)


def accuracy(g: SmoothedClassifier, path: Any) -> float:
    attack, generator = SmoothAdvPGD(epsilon=0.5, steps=1), torch.Generator().manual_seed(0)
    return empirical_accuracy(g, X, Y, attack, n=10, generator=generator)


def trained(g: SmoothedClassifier, path: Any) -> Tensor:
    g = g.around(deepcopy(g.base))
    trainer = Reweighting(epochs=2, batch_size=3, num_noise=2, lr=0.1, since=1, drop_below=0.0)
    trainer.fit(g, as_image_data((X, Y)), validation=(X, Y), progress=False)
    return next(g.parameters()).detach()


def labelled(g: SmoothedClassifier, path: Any) -> Tensor:
    return pseudo_label(g, X, batch_size=2).data.labels


def loaded(g: SmoothedClassifier, path: Any) -> Tensor:
    return load_dataset("digits").test.subset([2, 1]).index


def bracketed(g: SmoothedClassifier, path: Any) -> Any:
    log = certify_linf(g, X, epsilons=[0.001, 0.5]).to_log(Y)
    return bracket(g, Prover(g.base).predict, as_image_data((X, Y)), log).attacked.tolist()


@pytest.mark.parametrize(
    "answer",
    [
        *(certified, predicted, recorded, proved, frozen, attacked, accuracy),
        *(trained, labelled, loaded, bracketed),
    ],
)
def test_answers_are_those_without_it(answer: Any, tmp_path: Any) -> None:
    g = classifier(0.0 if answer in (proved, bracketed) else 0.25)
    verify_known_answers.cache_clear()
    with torch.device("meta"):
        found = answer(g, tmp_path / "first")
    wanted = answer(g, tmp_path / "second")
    assert torch.equal(found, wanted) if isinstance(found, Tensor) else found == wanted
