"""The plan of an epoch: every image, in mini-batches, the sources in turns."""

from __future__ import annotations

import torch

from rsmooth.defenses import PseudoLabels, Trainer
from rsmooth.training.draws import Draws
from rsmooth.training.plan import plan_epoch
from rsmooth.training.sampling import occurrences
from rsmooth.training.sources import as_source
from tests.training.helpers import images


def test_labelled_and_pseudo_labelled_batches_take_turns() -> None:
    labelled = as_source(images(20), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    pseudo = PseudoLabels(images(7)).source(Trainer(), torch.device("cpu"))
    steps = plan_epoch([labelled, pseudo], 0, 8, 2)
    assert [step.source for step in steps] == [0, 0, 1, 1] * 3
    assert [len(step.positions) for step in steps] == [4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 4, 4]
    used = torch.cat([step.positions for step in steps if step.source == 1])
    assert torch.bincount(used, minlength=7).min() >= 24 // 7
    others = torch.cat(
        [step.positions for step in plan_epoch([labelled, pseudo], 1, 8, 2) if step.source == 1]
    )
    assert not torch.equal(used, others)


def test_every_epoch_shows_every_image_once_in_another_order() -> None:
    source = as_source(images(), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    orders = [
        torch.cat([step.positions for step in plan_epoch([source], epoch, 10, 3)])
        for epoch in (0, 1)
    ]
    for order in orders:
        assert torch.equal(order.sort().values, torch.arange(24))
    assert not torch.equal(*orders)


class Fake:
    """A source of 9 images."""

    draws, weight = Draws(0), 1.0

    def __len__(self) -> int:
        return 9


def test_a_weighted_plan_has_as_many_images_and_says_who_comes_again() -> None:
    plan = plan_epoch([Fake()], 0, 4, 2, torch.ones(9))  # type: ignore[list-item]
    positions = torch.cat([step.positions for step in plan])
    assert len(positions) == 9
    visits = torch.cat([step.visits for step in plan if step.visits is not None])
    assert torch.equal(visits, occurrences(positions))
    assert all(step.visits is None for step in plan_epoch([Fake()], 0, 4, 2))  # type: ignore[list-item]


def test_with_a_share_both_kinds_are_in_every_mini_batch() -> None:
    labelled = as_source(images(20), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    pseudo = PseudoLabels(images(7)).source(Trainer(), torch.device("cpu"))
    steps = plan_epoch([labelled, pseudo], 0, 8, 2, share=0.25)
    ours = torch.cat([step.positions for step in steps])
    assert torch.equal(ours.sort().values, torch.arange(20))
    sizes = [(len(step.positions), [len(part) for part in step.others]) for step in steps]
    # The last two images are one batch of two mini-batches, with one image beside them.
    assert sizes == [(3, [1])] * 6 + [(1, [1]), (1, [])]
    assert {part.source for step in steps for part in step.others} == {1}
    assert [len(step) for step in steps] == [4] * 6 + [2, 1]
    assert plan_epoch([labelled], 0, 8, 2, share=0.25)[0].others == ()


def test_pseudo_labelled_images_that_come_again_say_so() -> None:
    """A short source has all its images in an epoch, and some more than once."""
    labelled = as_source(images(20), Draws(0), device=torch.device("cpu"), augment=None, workers=0)
    for count, share in ((7, None), (4, 0.25), (24, None)):
        pseudo = PseudoLabels(images(count)).source(Trainer(), torch.device("cpu"))
        steps = plan_epoch([labelled, pseudo], 0, 8, 2, share=share)
        theirs = [step for step in steps if step.source == 1]
        theirs += [part for step in steps for part in step.others]
        positions = torch.cat([step.positions for step in theirs])
        visits = [step.visits for step in theirs if step.visits is not None]
        if count == 24:
            assert not visits
        else:
            assert torch.equal(torch.cat(visits), occurrences(positions))
            assert torch.cat(visits).max() > 0
