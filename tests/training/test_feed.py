"""The feed: what each step is given, alone and among several processes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.defenses import PseudoLabels, Trainer
from rsmooth.noise.distributions import Gaussian, Laplace, NoiseDistribution
from rsmooth.training import feed as module
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import UNLABELLED, Draws
from rsmooth.training.feed import Feed
from rsmooth.training.sources import as_source
from tests.training.helpers import images

CPU = torch.device("cpu")
TRAINER, NOISE = Trainer(batch_size=8, num_noise=2), Gaussian(0.25)


def feed(
    ranks: Ranks,
    extras: dict[str, Tensor] | None = None,
    trainer: Trainer = TRAINER,
    noise: NoiseDistribution = NOISE,
) -> Feed:
    data = images(10)
    sources: list[Any] = [as_source(data, Draws(0), device=CPU, augment=None, workers=0)]
    sources.append(PseudoLabels(images(6, seed=1), weight=0.5).source(trainer, CPU))
    return Feed(trainer, data, sources, extras or {}, noise, ranks, CPU)


def test_a_step_is_given_its_images_noise_extras_and_scale() -> None:
    data, column = images(10), torch.arange(10.0)
    fed = feed(Ranks(), {"column": column})
    plan = fed.plan(1)
    given = list(fed.steps(plan, 1))
    assert len(given) == len(plan)
    for step, one in zip(plan, given, strict=True):
        assert len(one.x) == len(step.positions)
        assert one.scale == [1.0, 0.5][step.source] / len(step.positions)
        noise = one.draws.noise(one.ids, 1, 2, one.x.shape[1:], Gaussian(0.25), step.visits)
        assert torch.equal(one.noise, noise)
        if step.source == 0:
            assert torch.equal(one.x, data.images[step.positions].float() / 255)
            assert torch.equal(one.targets, data.labels[step.positions])
            assert torch.equal(one.extras["column"], column[step.positions])


def test_the_noise_to_come_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[int] = []
    monkeypatch.setattr(module, "expect_normals", lambda values, _: announced.append(values))
    trainer = replace(TRAINER, epochs=5)
    fed = feed(Ranks(), trainer=trainer)
    for epoch in (1, 2):
        list(fed.steps(fed.plan(epoch), epoch))
    assert announced == [4 * (10 + 6) * 2 * 64]  # epochs, images, copies, pixels
    for other, noise in (
        (replace(trainer, budget_seconds=9.0), Gaussian(0.25)),
        (trainer, Laplace(0.2)),
        (trainer, Gaussian(0.0)),
    ):
        fed = feed(Ranks(), trainer=other, noise=noise)
        list(fed.steps(fed.plan(0), 0))
    assert len(announced) == 1


def test_steps_from_the_middle_are_those_of_the_whole_epoch() -> None:
    fed = feed(Ranks())
    plan = fed.plan(0)
    whole = list(fed.steps(plan, 0))
    rest = list(fed.steps(plan[3:], 0))
    for one, other in zip(whole[3:], rest, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.noise, other.noise)


def test_processes_share_a_step_and_an_empty_share_weighs_nothing() -> None:
    """The last batch has one image per mini-batch, so that the second process has none."""
    whole = feed(Ranks())
    plan = whole.plan(0)
    parts = [list(feed(Ranks(rank, 2)).steps(plan, 0)) for rank in (0, 1)]
    empty = 0
    for one, first, second in zip(whole.steps(plan, 0), *parts, strict=True):
        if second.scale == 0.0:
            empty += 1
            assert len(first.ids) == len(second.ids) == 1
            assert torch.equal(first.ids, one.ids)
        else:
            together = torch.cat([first.ids, second.ids])
            assert torch.equal(together.sort().values, one.ids.sort().values)
        assert first.scale == 2 * one.scale
    assert empty == 2


def test_the_state_is_the_sampling() -> None:
    fed, other = feed(Ranks()), feed(Ranks())
    assert fed.state() == {"weights": None, "state": {}}
    weights = torch.zeros(10)
    weights[4] = 1.0
    other.restore({"weights": weights, "state": {"seen": 3}})
    assert other.state()["state"] == {"seen": 3}
    drawn = torch.cat([step.positions for step in other.plan(0) if step.source == 0])
    assert drawn.tolist() == [4] * 10


MIXED = Trainer(batch_size=8, num_noise=2, unlabelled_share=0.5)


def mixed(ranks: Ranks, probabilities: Tensor | None = None) -> Feed:
    data = images(10)
    sources: list[Any] = [as_source(data, Draws(0), device=CPU, augment=None, workers=0)]
    sources.append(PseudoLabels(images(6, seed=1), probabilities).source(MIXED, CPU))
    return Feed(MIXED, data, sources, {}, Gaussian(0.25), ranks, CPU)


def test_a_mixed_step_is_both_kinds_each_with_the_draws_of_its_stream() -> None:
    fed, labelled, pseudo = mixed(Ranks()), images(10), images(6, seed=1)
    for step, one in zip(fed.plan(1), fed.steps(fed.plan(1), 1), strict=True):
        ours, theirs = step.positions, step.others[0].positions
        pixels = torch.cat([labelled.images[ours], pseudo.images[theirs]]).float() / 255
        assert torch.equal(one.x, pixels)
        assert one.scale == 1.0 / len(step) == 1.0 / len(one.x)
        seen = step.others[0].visits
        parts = [(0, labelled.index[ours], None), (UNLABELLED, pseudo.index[theirs], seen)]
        noise = [
            Draws(0, s).noise(i, 1, 2, one.x.shape[1:], Gaussian(0.25), v) for s, i, v in parts
        ]
        assert torch.equal(one.noise, torch.cat(noise))
        uniform = [Draws(0, s).uniform(i, 1, "mixing", 2) for s, i, _ in parts]
        assert torch.equal(one.draws.uniform(one.ids, 1, "mixing", 2), torch.cat(uniform))


def test_labels_beside_class_probabilities_become_some() -> None:
    rows = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)).softmax(1)
    fed = mixed(Ranks(), rows)
    plan = fed.plan(0)
    one = next(fed.steps(plan, 0))
    count = len(plan[0].positions)
    assert torch.equal(one.targets[:count].argmax(1), images(10).labels[plan[0].positions])
    assert torch.equal(one.targets[:count].sum(1), torch.ones(count))
    assert torch.equal(one.targets[count:], rows[plan[0].others[0].positions])


def test_processes_share_mixed_steps() -> None:
    whole = mixed(Ranks())
    plan = whole.plan(0)
    parts = [list(mixed(Ranks(rank, 3)).steps(plan, 0)) for rank in range(3)]
    for one, *shares in zip(whole.steps(plan, 0), *parts, strict=True):
        seen = torch.cat([share.x for share in shares if share.scale]).flatten(1)
        assert torch.equal(seen.sum(1).sort().values, one.x.flatten(1).sum(1).sort().values)
        assert {share.scale for share in shares} <= {3 * one.scale, 0.0}


def test_an_image_that_comes_again_has_other_noise() -> None:
    for fed in (feed(Ranks()), mixed(Ranks())):
        given = list(fed.steps(fed.plan(0), 0))
        noises = torch.cat([one.noise for one in given]).flatten(1)
        assert len(torch.unique(noises, dim=0)) == len(noises) > 10 + 6
