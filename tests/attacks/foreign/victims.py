"""A trained smoothed classifier for attacks of other libraries, and what holds for all of them."""

from functools import cache

import torch
from torch.testing import assert_close

from rsmooth.data import load_dataset
from rsmooth.defenses import Trainer
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

COPIES = 4


@cache
def _trained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[32])
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
    data = load_dataset("digits")
    Trainer(epochs=3, batch_size=64).fit(g, data.train, progress=False)
    x, y = data.test.batch(list(range(12)))
    return g, x.float() / 255, y


def digits_g():
    """G (eval mode), 12 images, and what g answers to them under the noise of seed 0."""
    g, x, _ = _trained()
    with g.frozen_noise(0, COPIES), torch.no_grad():
        return g, x.clone(), g(x).argmax(dim=1)


def answers_of_g(g, x_adv, y):
    """The answers (B,) of g to attacked images: alike in one batch, shuffled and singly.

    Called within ``frozen_noise``. The attack is to have changed some answers and not all.
    """
    order = torch.randperm(len(x_adv), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        whole, shuffled = g(x_adv), g(x_adv[order])
        singly = torch.cat([g(one.unsqueeze(0)) for one in x_adv])
    assert_close(shuffled, whole[order], rtol=0, atol=1e-5)
    assert_close(singly, whole, rtol=0, atol=1e-5)
    answers = whole.argmax(dim=1)
    changed = int((answers != y).sum())
    assert 0 < changed < len(y), f"{changed} of {len(y)}: choose another epsilon"
    return answers


def trains(attack):
    """One epoch of SmoothAdv training by a foreign attack moves the weights, twice to the same."""
    data = load_dataset("digits")
    few = data.train.subset(list(range(48)))
    weights = []
    for _ in range(2):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            base = MODELS.create("mlp", num_classes=10, image_size=8, hidden=[8])
        g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
        Trainer(epochs=1, batch_size=24, num_noise=2, attack=attack).fit(g, few, progress=False)
        weights.append(g.base.state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])
