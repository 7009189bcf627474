"""ImageData: what it takes, what it hands out, and that an image keeps its index."""

import dataclasses

import pytest
import torch

from rsmooth.data import ImageData, to_unit


def make(n=12, **changes):
    generator = torch.Generator().manual_seed(0)
    fields = {
        "images": torch.randint(0, 256, (n, 3, 4, 5), generator=generator, dtype=torch.uint8),
        "labels": torch.arange(n) % 3,
        "index": torch.arange(n) * 20,
        "num_classes": 3,
        "name": "tiny",
        "split": "test",
    }
    return ImageData(**{**fields, **changes})


def test_batches_and_subsets_take_positions_in_their_order():
    data = make()
    images, labels = data.batch([5, 2, 2])
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.stack([data.images[5], data.images[2], data.images[2]]))
    assert labels.tolist() == [2, 2, 2]
    part = data.subset(torch.tensor([7, 3]))
    assert part.index.tolist() == [140, 60]
    assert part.subset([1]).index.tolist() == [60]
    assert torch.equal(part.images, data.images[[7, 3]])
    assert (len(data), len(part)) == (12, 2)
    assert (part.name, part.split, part.num_classes) == ("tiny", "test", 3)


def test_an_empty_subset_is_fine():
    part = make().subset([])
    assert len(part) == 0
    assert len(part.fingerprint()) == 16


@pytest.mark.parametrize("change", ["images", "labels", "index", "order"])
def test_the_fingerprint_sees_every_change(change):
    data = make()
    assert data.fingerprint() == make().fingerprint()
    if change == "order":
        other = data.subset(list(reversed(range(12))))
    else:
        tensor = getattr(data, change).clone()
        tensor[-1] = 1
        other = dataclasses.replace(data, **{change: tensor})
    assert other.fingerprint() != data.fingerprint()
    assert len(data.fingerprint()) == 16


def test_the_fingerprint_does_not_hang_on_memory_layout():
    data = make()
    other = dataclasses.replace(data, images=data.images.to(memory_format=torch.channels_last))
    assert other.fingerprint() == data.fingerprint()


def test_moving_keeps_everything():
    data = make()
    assert data.to("cpu").fingerprint() == data.fingerprint()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_moving_to_a_gpu_keeps_everything():
    data = make()
    moved = data.to("cuda")
    assert {tensor.device.type for tensor in (moved.images, moved.labels, moved.index)} == {"cuda"}
    assert moved.fingerprint() == data.fingerprint()
    assert torch.equal(moved.batch(torch.tensor([3, 1]))[0].cpu(), data.batch([3, 1])[0])
    assert moved.subset([2]).index.device.type == "cuda"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": torch.zeros(12, 4, 5, dtype=torch.uint8)},
            r"expected images \(N, C, H, W\) in uint8 .*as_image_data",
        ),
        ({"images": torch.zeros(12, 3, 4, 5, dtype=torch.int64)}, "got torch.int64"),
        ({"images": torch.zeros(12, 8, 5, 3, dtype=torch.uint8)}, r"look like \(B, H, W, C\)"),
        ({"images": torch.full((12, 3, 4, 5), 1.5)}, r"expected images in \[0, 1\]"),
        ({"images": torch.full((12, 3, 4, 5), float("nan"))}, r"expected images in \[0, 1\]"),
        (
            {"labels": torch.zeros(11, dtype=torch.int64)},
            r"expected labels as int64 \(12,\), got torch.int64 \(11,\)",
        ),
        ({"labels": torch.zeros(12)}, "expected labels as int64"),
        ({"labels": torch.full((12,), 3)}, r"expected labels within 0\.\.2, got 3\.\.3"),
        ({"labels": torch.full((12,), -1)}, r"expected labels within 0\.\.2, got -1\.\.-1"),
        ({"index": torch.zeros(12, dtype=torch.int64)}, "expected an index of distinct numbers"),
        ({"index": torch.arange(-1, 11)}, "expected an index of distinct numbers"),
        ({"index": torch.arange(12.0)}, "expected index as int64"),
    ],
)
def test_fields_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_units():
    levels = torch.arange(256, dtype=torch.uint8)
    unit = to_unit(levels)
    assert unit.dtype == torch.float32
    assert torch.equal(unit, torch.tensor([k / 255 for k in range(256)]))
    assert to_unit(unit) is unit


def test_the_repr_is_one_line():
    assert repr(make()) == "ImageData(tiny test: 12 images (3, 4, 5), 3 classes)"
