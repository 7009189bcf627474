"""Data sets read item by item: no label is cut, random transforms are noticed and repeatable."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rsmooth.data import as_image_data
from rsmooth.data.convert import as_training_data
from rsmooth.data.items import READINGS, ItemData, changing_item, read_items

X = torch.randint(0, 256, (6, 3, 5, 6), generator=torch.Generator().manual_seed(0)).byte()


class Items(Dataset[Any]):
    """Six images, each changed by a function, with a label."""

    def __init__(
        self, change: Callable[[Tensor], Any] = lambda x: x, label: Callable[[int], Any] = int
    ) -> None:
        self.change = change
        self.label = label
        self.reads = 0

    def __len__(self) -> int:
        return 6

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        self.reads += 1
        return self.change(X[i]), self.label(i % 3)


FLIPS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch": lambda x: x.flip(2) if torch.rand(()) < 0.5 else x,
    "numpy": lambda x: x.flip(2) if np.random.rand() < 0.5 else x,  # noqa: NPY002
    "random": lambda x: x.flip(2) if random.random() < 0.5 else x,
    "rare": lambda x: x.flip(2) if torch.rand(()) < 0.02 else x,
}


def as_picture(x: Tensor) -> Image.Image:
    return Image.fromarray(x.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("label", [lambda k: k + 0.5, float, bool, str, lambda k: None])
def test_labels_are_never_cut(label: Callable[[int], Any]) -> None:
    with pytest.raises(ValueError, match=r"expected an integer label, got .* for item 0; number"):
        as_image_data(Items(label=label))


@pytest.mark.parametrize("label", [int, np.int64, np.uint8, torch.tensor, np.array])
def test_labels_of_any_integer_type_are_read(label: Callable[[int], Any]) -> None:
    assert as_image_data(Items(label=label)).labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_pictures_have_their_channels_first_and_their_palette_looked_up() -> None:
    assert torch.equal(read_items(Items(as_picture), range(6))[0], X)
    few = Items(lambda x: as_picture(x // 128 * 128).quantize(8))
    found = read_items(few, range(6))[0]
    assert (found.float() - X // 128 * 128).abs().max() <= 1


def test_pictures_of_black_and_white_have_pixels_of_eight_bits() -> None:
    found = as_image_data(Items(lambda x: as_picture(x).convert("1"))).images
    assert found.dtype == torch.uint8
    wanted = [np.array(as_picture(x).convert("1").convert("L")) for x in X]
    assert torch.equal(found, torch.from_numpy(np.stack(wanted))[:, None])


def test_images_of_several_shapes_are_refused_by_item() -> None:
    with pytest.raises(ValueError, match=r"one shape and type, got \(3, 5, 6\) .* for item"):
        as_image_data(Items(lambda x: x[:, : 5 - int(torch.equal(x, X[2]))]))


@pytest.mark.parametrize("source", FLIPS)
def test_random_transforms_are_noticed_whatever_they_draw_from(source: str) -> None:
    """A flip of 2 % stays unseen in 1,020 readings with probability 2e-9; the seeds are fixed."""
    with pytest.raises(ValueError, match="same images at every reading, got others for item"):
        as_image_data(Items(FLIPS[source]))
    assert isinstance(as_training_data(Items(FLIPS[source]), 3), ItemData)
    assert isinstance(as_training_data(DataLoader(Items(FLIPS[source])), 3), ItemData)


def test_what_does_not_change_stays_in_memory_after_a_bounded_number_of_readings() -> None:
    data = Items()
    found = as_training_data(data, 3)
    assert not isinstance(found, ItemData)
    assert torch.equal(as_image_data(data).images, X)
    assert data.reads <= 2 * (6 + READINGS + 6)
    assert changing_item(data, *read_items(data, range(6))) is None


def test_labels_that_change_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected one label per image, got . and . at two reading"
    ):
        as_training_data(Items(label=lambda k: int(torch.randint(3, ()))), 3)


def test_a_reading_follows_from_its_generator_and_leaves_all_others_alone() -> None:
    def mixed(x: Tensor) -> Tensor:
        for flip in FLIPS.values():
            x = flip(x)
        return x

    data = ItemData(Items(mixed), torch.arange(6) % 3, 3, (3, 5, 6))
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr,index]  # noqa: NPY002
    one, two, other = (
        data.batch([0, 3, 0], torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[union-attr,index]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_pixels_read_anew_are_checked_each_time() -> None:
    data = ItemData(Items(lambda x: x / 100), torch.arange(6) % 3, 3, (3, 5, 6))
    with pytest.raises(ValueError, match=r"expected images in \[0, 1\]"):
        data.batch([0])


@pytest.mark.parametrize(
    ("item", "got"),
    [((X[0], 1, 2), "tuple"), ({"x": X[0], "label": 1}, "dict of x, label"), (X[0], "Tensor")],
)
def test_items_that_are_no_pairs_are_refused(item: Any, got: str) -> None:
    class Odd(Items):
        def __getitem__(self, i: int) -> Any:
            return item

    with pytest.raises(ValueError, match=rf"expected pairs \(image, label\) from Odd, .*got {got}"):
        as_image_data(Odd())
