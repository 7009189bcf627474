"""Crops and flips of the padded image."""

from __future__ import annotations

import torch
from torch import Tensor

from rsmooth.training.augment import crop_and_flip, draw_crops
from rsmooth.training.draws import Draws
from tests.training.helpers import images


def test_crop_and_flip_is_a_crop_and_a_flip_of_the_padded_image() -> None:
    data = images(channels=3)
    out = crop_and_flip(data.images, draw_crops(data.index, 1, Draws(0)))
    padded = torch.nn.functional.pad(data.images, (4, 4, 4, 4))
    seen = set()
    for before, after in zip(padded, out, strict=True):
        found = [
            (top, left, flip)
            for top in range(9)
            for left in range(9)
            for flip in (0, 1)
            if torch.equal(after, _flip(before[:, top : top + 8, left : left + 8], flip))
        ]
        assert found
        seen.update(found)
    assert {flip for _, _, flip in seen} == {0, 1}
    assert min(len({top for top, _, _ in seen}), len({left for _, left, _ in seen})) >= 6


def _flip(image: Tensor, flip: int) -> Tensor:
    return image.flip(2) if flip else image


def test_crops_are_keyed_by_image_epoch_and_visit() -> None:
    ids = torch.arange(40)
    first = draw_crops(ids, 0, Draws(0))
    assert torch.equal(draw_crops(ids[5:9], 0, Draws(0)), first[5:9])
    assert torch.equal(draw_crops(ids, 0, Draws(0), torch.zeros_like(ids)), first)
    for other in (
        draw_crops(ids, 1, Draws(0)),
        draw_crops(ids, 0, Draws(1)),
        draw_crops(ids, 0, Draws(0), torch.ones_like(ids)),
    ):
        assert not torch.equal(other, first)
    assert bool((first >= 0).all())
    assert bool((first <= torch.tensor([8, 8, 1])).all())
