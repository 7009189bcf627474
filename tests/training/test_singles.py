"""A last mini-batch of one image is refused before the first step, where batch norm needs more."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rsmooth.data import as_image_data
from rsmooth.defenses import PseudoLabels, Stability, Trainer
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.plan import plan_epoch
from rsmooth.training.singles import check_singles, smallest_share


def wide(pixels: int) -> SmoothedClassifier:
    """A base whose batch norm sees ``pixels`` per image and channel."""
    torch.manual_seed(0)
    kernel = {1: (4, 4), 4: (3, 3)}[pixels]
    base = nn.Sequential(
        nn.Conv2d(1, 3, kernel), nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return SmoothedClassifier(base, sigma=0.25, num_classes=3)


def data(count: int):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return as_image_data((x, torch.arange(count) % 3), num_classes=3)


def options(**more):
    return {"epochs": 1, "batch_size": 8, "augment": False, **more}


@pytest.mark.parametrize("more", [{}, {"num_noise": 8}])
def test_a_lone_image_is_refused_before_the_first_step(more, tmp_path):
    g, seen = wide(1), []
    weights = {name: tensor.clone() for name, tensor in g.state_dict().items()}
    trainer = (Stability if more else Trainer)(**options(**more))
    with pytest.raises(ValueError, match=r"batch norm .* 1 image of 33 in batches of 8.*such as"):
        trainer.fit(g, data(33), progress=False, callback=lambda *at: seen.append(at))
    if not more:  # the clean pass of stability training is met within the first steps
        assert seen == []
        assert all(torch.equal(tensor, weights[name]) for name, tensor in g.state_dict().items())


@pytest.mark.parametrize(("pixels", "count", "batch"), [(1, 34, 8), (1, 33, 11), (4, 33, 8)])
def test_what_normalises_trains(pixels, count, batch):
    trainer = Trainer(**options(batch_size=batch))
    assert trainer.fit(wide(pixels), data(count), progress=False)[-1]["images"] == count


def test_the_check_changes_no_training():
    """Batch norm of several pixels trains on one image; so it does with the check."""
    g, again = wide(4), wide(4)
    Trainer(**options()).fit(g, data(33), progress=False)
    state = torch.get_rng_state()
    Trainer(**options()).fit(again, data(33), progress=False)
    assert torch.equal(torch.get_rng_state(), state)
    for tensor, other in zip(g.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(tensor, other)


class Images:
    """As many training images, in any order."""

    def __init__(self, count):
        self.count, self.draws = count, self

    def __len__(self):
        return self.count

    def order(self, count, epoch):
        return torch.arange(count)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17, 33])
@pytest.mark.parametrize("num_noise", [1, 2, 3, 8])
def test_the_smallest_share_is_that_of_the_plan(count, num_noise):
    steps = plan_epoch([Images(count)], 0, 8, num_noise)
    assert smallest_share(count, 8, num_noise) == min(len(step.positions) for step in steps)


@pytest.mark.parametrize("count", [1, 3, 8, 9, 33])
@pytest.mark.parametrize("num_noise", [1, 2, 3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("processes", [1, 2])
def test_it_is_that_of_the_plan_with_images_of_both_kinds(count, num_noise, share, processes):
    plan = plan_epoch([Images(count), Images(5)], 0, 8, num_noise, share=share)
    ranks = [Ranks(rank, processes) for rank in range(processes)]
    seen = [
        sum(len(rank.share(part.positions)) for part in (step, *step.others))
        for step in plan
        for rank in ranks
    ]
    assert smallest_share(count, 8, num_noise, processes, share) == max(1, min(seen))


def test_a_lone_labelled_image_beside_others_is_not_refused():
    """Half of each mini-batch is pseudo-labelled: of 33 images the last has one of each kind."""
    history = Trainer(**options(unlabelled_share=0.5)).fit(
        wide(1), data(33), unlabelled=PseudoLabels(data(20)), progress=False
    )
    assert history[-1]["images"] == 66


def test_a_batch_of_one_has_no_images_of_both_kinds():
    with pytest.raises(ValueError, match=r"batch_size >= 2 for images of both kinds .* got 1 with"):
        Trainer(**options(batch_size=1, unlabelled_share=0.5)).fit(
            wide(4), data(3), unlabelled=PseudoLabels(data(2)), progress=False
        )
    alone = Trainer(**options(batch_size=1))
    alone.fit(wide(4), data(3), unlabelled=PseudoLabels(data(2)), progress=False)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_the_batch_size_that_is_named_trains(processes):
    """Also in several processes, each of which sees a part of a mini-batch."""
    base = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.BatchNorm1d(4))
    g = SmoothedClassifier(base, 0.25, 4)
    refused = [
        size
        for size in range(1, 12)
        if smallest_share(33, size, num_noise=1, processes=processes) < 2
    ]
    assert refused
    for batch_size in refused:
        with pytest.raises(ValueError, match=r"such as \d+,") as error:
            check_singles(Trainer(batch_size=batch_size), g, 33, (1, 8, 8), processes)
        named = int(str(error.value).split("such as ")[1].split(",")[0])
        check_singles(Trainer(batch_size=named), g, 33, (1, 8, 8), processes)
