"""The axis of the channels: as said, or where only one end can hold them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsmooth.data.layout import as_channels_first


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_the_same_pixels_come_out_in_place(kind: object) -> None:
    first = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last = np.moveaxis(first, 1, -1).copy()
    assert callable(kind)
    for given in (first, last):
        assert np.array_equal(np.asarray(as_channels_first(kind(given))), first)
    grey = as_channels_first(kind(first[:, 0]))
    assert np.array_equal(np.asarray(grey), first[:, :1])
    said = as_channels_first(kind(first), "channels_last")
    assert tuple(said.shape) == (2, 5, 3, 4)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5, 3)])
def test_another_number_of_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected images \(N, H, W, C\), .* got \("):
        as_channels_first(np.zeros(shape))
