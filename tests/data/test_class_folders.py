"""Folders of image files: order, preprocessing against torchvision's, random crops, errors."""

import shutil

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torchvision import transforms

from rsmooth.data import FolderData, as_image_data, load_dataset
from rsmooth.data.files import _random_part


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Ten training and six test images of three classes, of several sizes, one of them grey."""
    root = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for split, count in (("train", 10), ("val", 6)):
        for i in range(count):
            folder = root / split / f"class{i % 3}"
            folder.mkdir(parents=True, exist_ok=True)
            shape = (20 + 3 * i, 41 - i) if i == 4 else (20 + 3 * i, 41 - i, 3)
            Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)).save(
                folder / f"{i:02d}.png"
            )
    return root


def test_order_labels_and_description(root):
    splits = load_dataset("folder", root=root, image_size=16)
    assert splits.train.paths[0].replace("\\", "/") == "train/class0/00.png"
    assert splits.train.labels.tolist() == [0] * 4 + [1] * 3 + [2] * 3
    assert splits.test.index.tolist() == list(range(6))
    assert (splits.num_classes, splits.image_shape, splits.augment) == (3, (3, 16, 16), False)
    assert splits.normalize == "imagenet"
    assert repr(
        splits.test
    ) == "FolderData(pictures test: 6 files as (3, 16, 16), 3 classes)".replace(
        "pictures", root.name
    )


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
    """64 fair flips: outside 12..52 with probability < 1e-6. The left half is black, the right half
    white.
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


def test_subsets_validation_and_fingerprint(root):
    splits = load_dataset("folder", root=root, image_size=16, validation=3)
    assert sorted(splits.train.index.tolist() + splits.validation.index.tolist()) == list(range(10))
    assert (len(splits.validation), splits.validation.split) == (3, "validation")
    other = load_dataset("folder", root=root, image_size=16, validation=3, seed=1)
    assert other.validation.index.tolist() != splits.validation.index.tolist()
    whole = load_dataset("folder", root=root, image_size=16).train
    assert (
        whole.fingerprint() == load_dataset("folder", root=root, image_size=16).train.fingerprint()
    )
    assert (
        len(
            {
                whole.fingerprint(),
                whole.subset([1, 0]).fingerprint(),
                whole.subset([0, 1]).fingerprint(),
                load_dataset("folder", root=root, image_size=17).train.fingerprint(),
            }
        )
        == 4
    )
    part = whole.subset([8, 2])
    assert isinstance(part, FolderData)
    assert torch.equal(part.batch([1])[0], whole.batch([2])[0])
    assert part.index.tolist() == [8, 2]
    assert part.batch([])[0].shape == (0, 3, 16, 16)
    assert as_image_data(part) is part


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


def test_splits_can_have_other_names_or_be_absent(root, tmp_path):
    assert load_dataset("folder", root=root, train="val", test="train").test.num_classes == 3
    assert load_dataset("folder", root=root, test="absent").test is None
    only_test = load_dataset("folder", root=root, train="absent")
    assert (only_test.train, only_test.validation, len(only_test.test)) == (None, None, 6)
    with pytest.raises(FileNotFoundError, match="expected a folder train or val with a sub-folder"):
        load_dataset("folder", root=tmp_path)
    with pytest.raises(ValueError, match="expected image_size >= 1, got 0"):
        load_dataset("folder", root=root, image_size=0)


def test_splits_must_have_the_same_classes(tmp_path):
    for path in ("train/a/0.png", "train/b/0.png", "val/a/0.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    with pytest.raises(
        ValueError, match=r"expected the same classes in train and val of .*, got 2 and 1"
    ):
        load_dataset("folder", root=tmp_path)


def test_a_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "val" / "a").mkdir(parents=True)
    (tmp_path / "val" / "a" / "0.png").write_bytes(b"not an image")
    with pytest.raises(
        ValueError, match=r"expected an image in .*0\.png, got a file that cannot be read"
    ):
        load_dataset("folder", root=tmp_path).test.batch([0])
