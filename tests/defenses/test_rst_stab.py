"""Robust self-training: the formula, and one step on a mixed mini-batch by hand."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from rsmooth.defenses import PseudoLabels, RobustSelfTraining, Stability
from rsmooth.defenses.rst_stab import stability_divergence
from rsmooth.defenses.stability import stability_penalty
from rsmooth.noise.distributions import Gaussian
from rsmooth.training.draws import UNLABELLED, Draws
from tests.training.helpers import CLASSES, classifier, images, trained, weights

SHORT = {"epochs": 2, "batch_size": 10, "lr": 0.05, "weight_decay": 0.0}


def log_probs(m: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, m, CLASSES, generator=generator, dtype=torch.float64).log_softmax(2)


def test_the_divergence_is_torchs_and_the_stability_penalty_less_the_entropy() -> None:
    clean, noisy = log_probs(1, 0), log_probs(3, 1)
    found = stability_divergence(clean, noisy)
    judge = kl_div(noisy, clean.expand(-1, 3, -1), reduction="none", log_target=True)
    torch.testing.assert_close(found, judge.sum(2).mean(1))
    entropy = -(clean.exp() * clean).sum(2).squeeze(1)
    torch.testing.assert_close(found, stability_penalty(clean, noisy) - entropy)
    assert not stability_divergence(clean, clean).any()


def test_gradients_flow_through_both_sides() -> None:
    clean, noisy = log_probs(1, 0).requires_grad_(), log_probs(1, 1).requires_grad_()
    stability_divergence(clean, noisy).sum().backward()
    for side in (clean, noisy):
        assert side.grad is not None
        assert bool(side.grad.any())


def test_one_step_on_a_mixed_mini_batch_is_the_published_one() -> None:
    """Noisy images clamped, both passes over all images together, the noisy one first."""
    data, extra = images(6), images(6, seed=3)
    g, reference = classifier(), classifier()
    trainer = RobustSelfTraining(
        epochs=1, batch_size=12, lr=0.1, momentum=0.9, weight_decay=0.0, stability_weight=6.0
    )
    trainer.fit(g, data, unlabelled=PseudoLabels(extra), progress=False)

    xs, ys, noises = [], [], []
    for part, stream in ((data, 0), (extra, UNLABELLED)):
        order = Draws(0, stream).order(6, 0)
        xs.append(part.images[order].float() / 255)
        ys.append(part.labels[order])
        ids = part.index[order]
        noise = Draws(0, stream).noise(ids, 0, 1, part.images.shape[1:], Gaussian(0.25))
        noises.append(noise[:, 0])
    x, y, noise = torch.cat(xs), torch.cat(ys), torch.cat(noises)
    base = reference.base.train()
    noisy, clean = base((x + noise).clamp(0, 1)), base(x)
    stable = kl_div(noisy.log_softmax(1), clean.softmax(1), reduction="batchmean")
    (cross_entropy(clean, y) + 6 * stable).backward()
    judge = torch.optim.SGD(base.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    judge.step()
    torch.testing.assert_close(weights(g), weights(reference), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("change", [{"stability_weight": 1.0}, {"unlabelled_share": None}])
def test_each_option_changes_the_result(change: dict[str, float | None]) -> None:
    found = []
    for options in (SHORT, {**SHORT, **change}):
        g = classifier()
        extra = PseudoLabels(images(9, seed=3))
        RobustSelfTraining(**options).fit(g, images(), unlabelled=extra, progress=False)
        found.append(weights(g))
    assert not torch.allclose(*found)


def test_without_unlabelled_images_it_is_stability_training() -> None:
    g = copy.deepcopy(classifier())
    alone = trained(RobustSelfTraining(**SHORT), g)
    assert alone.isfinite().all()
    assert not torch.allclose(alone, trained(Stability(**SHORT, stability_weight=6.0)))


def test_weights_that_have_no_meaning_are_refused() -> None:
    with pytest.raises(ValueError, match="expected stability_weight to be a number >= 0, got -1"):
        RobustSelfTraining(stability_weight=-1.0)
    extra = PseudoLabels(images(9, seed=3), weight=0.5)
    with pytest.raises(
        ValueError, match=r"expected a weight of 1 for .* got 0.5; let unlabelled_sh"
    ):
        RobustSelfTraining(**SHORT).fit(classifier(), images(), unlabelled=extra)
