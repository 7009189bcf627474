"""Images in files: preprocessing against torchvision's, random parts, fingerprints."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from rsmooth.data import load_dataset
from rsmooth.data.files import _random_part


@pytest.mark.parametrize("size", [16, 224])
def test_without_a_generator_images_are_prepared_as_published(root, size):
    data = load_dataset("folder", root=root, image_size=size).test
    prepare = transforms.Compose(
        [
            transforms.Resize(round(size * 256 / 224)),
            transforms.CenterCrop(size),
            transforms.PILToTensor(),
        ]
    )
    source = torchvision.datasets.ImageFolder(root / "val", transform=prepare)
    images, labels = data.batch([4, 0, 5])
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.stack([source[i][0] for i in (4, 0, 5)]))
    assert labels.tolist() == [source[i][1] for i in (4, 0, 5)]


def test_with_a_generator_parts_and_flips_are_random_but_repeatable(root):
    data = load_dataset("folder", root=root, image_size=16).train
    batches = [data.batch([0, 0, 3], torch.Generator().manual_seed(s))[0] for s in (1, 1, 2)]
    assert torch.equal(batches[0], batches[1])
    assert not torch.equal(batches[0], batches[2])
    assert not torch.equal(batches[0][0], batches[0][1])


def test_flips_come_half_of_the_time(tmp_path):
    """64 fair flips: outside 12..52 with probability < 1e-6.

    The left half is black, the right half white.
    """
    (tmp_path / "train" / "a").mkdir(parents=True)
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:, 16:] = 255
    Image.fromarray(pixels).save(tmp_path / "train" / "a" / "0.png")
    data = load_dataset("folder", root=tmp_path, image_size=8).train
    images, _ = data.batch([0] * 64, torch.Generator().manual_seed(0))
    flipped = (
        (images[:, :, :, 0].float().mean((1, 2)) > images[:, :, :, -1].float().mean((1, 2)))
        .sum()
        .item()
    )
    assert 12 <= flipped <= 52


@pytest.mark.parametrize(("height", "width"), [(50, 40), (7, 90), (1, 1), (400, 3)])
def test_random_parts_lie_within_the_image(height, width):
    draws = torch.rand(200, 11, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = [_random_part(height, width, draw) for draw in draws]
    assert all(
        0 <= top < top + h <= height and 0 <= left < left + w <= width for top, left, h, w in parts
    )
    if (height, width) == (50, 40):
        areas = np.array([h * w / (height * width) for _, _, h, w in parts])
        assert areas.min() < 0.2
        assert areas.max() > 0.8
        assert {top + h == height for top, _, h, _ in parts} == {True, False}
        assert all(0.7 < w / h < 1.43 for _, _, h, w in parts)
    else:
        side = min(height, width)
        assert parts.count(((height - side) // 2, (width - side) // 2, side, side)) > 100, (
            "the central square"
        )


def test_fingerprints_see_the_content_of_the_files_and_listings_their_size(root, tmp_path):
    shutil.copytree(root / "val", tmp_path / "val")
    copy, original = (
        load_dataset("folder", root=folder, image_size=16, train="absent").test
        for folder in (tmp_path, root)
    )
    assert (copy.fingerprint(), copy.listing()) == (original.fingerprint(), original.listing())
    file = tmp_path / copy.paths[2]
    damaged = bytearray(file.read_bytes())
    damaged[-20] ^= 1  # same name, same size, another pixel perhaps
    file.write_bytes(damaged)
    assert copy.fingerprint() != original.fingerprint()
    assert copy.listing() == original.listing()
    assert copy.subset([0, 1]).fingerprint() == original.subset([0, 1]).fingerprint()
    file.write_bytes(damaged + b"0")
    assert copy.listing() != original.listing()
    assert (
        len(
            {
                whole.listing()
                for whole in (original, original.subset([1, 0]), original.subset([0, 1]))
            }
        )
        == 3
    )


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "val" / "a").mkdir(parents=True)
    (tmp_path / "val" / "a" / "0.png").write_bytes(b"not an image")
    with pytest.raises(
        ValueError, match=r"expected an image in .*0\.png, got a file that cannot be read"
    ):
        load_dataset("folder", root=tmp_path).test.batch([0])
