"""Tiny-ImageNet and ImageNet in their published folders."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rsmooth.data import load_dataset, wordnet_folders
from rsmooth.testing import check_dataset

WNIDS = ["n02", "n01", "n03"]  # wnids.txt is not in order


def picture(number: int, size: int = 64, mode: str = "RGB") -> bytes:
    pixels = np.full((size, size, 3), 20 * number, np.uint8)
    pixels[: size // 2] = 255 - 20 * number
    content = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(content, "JPEG", quality=95)
    return content.getvalue()


@pytest.fixture
def root(tmp_path):
    """Two training images per class, and four of val; one is grey, as some of the real ones."""
    for number, wnid in enumerate(WNIDS):
        folder = tmp_path / "train" / wnid / "images"
        folder.mkdir(parents=True)
        for at in range(2):
            (folder / f"{wnid}_{at}.JPEG").write_bytes(picture(2 * number + at))
        (folder.parent / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
    (tmp_path / "val" / "images").mkdir(parents=True)
    lines = []
    for at, wnid in enumerate(["n03", "n01", "n02", "n01"]):
        mode = "L" if at == 1 else "RGB"
        (tmp_path / "val" / "images" / f"val_{at}.JPEG").write_bytes(picture(at, mode=mode))
        lines.append(f"val_{at}.JPEG\t{wnid}\t0\t32\t44\t62\n")
    (tmp_path / "val" / "val_annotations.txt").write_text("".join(lines))
    (tmp_path / "wnids.txt").write_text("\n".join(WNIDS))
    (tmp_path / "words.txt").write_text(
        "n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tfrog\n"
    )
    return tmp_path


def test_tiny_imagenet(root):
    splits = load_dataset("tiny-imagenet", root=root, validation=2)
    check_dataset(splits)
    assert (splits.num_classes, splits.image_shape) == (3, (3, 64, 64))
    assert splits.class_names == ("goldfish", "frog", "n03")
    assert splits.normalize == "tiny-imagenet"
    assert splits.test.labels.tolist() == [2, 0, 1, 0], "as val_annotations.txt says"
    assert len(splits.train) + len(splits.validation) == 6
    images, _ = splits.test.batch([0, 1])
    assert images.dtype == torch.uint8
    real = np.asarray(Image.open(root / "val" / "images" / "val_0.JPEG"))
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), real), "whole, not resized"
    assert bool((images[1] == images[1][:1]).all()), "a grey file has three equal channels"


def test_val_in_folders_of_classes(root):
    (root / "val" / "val_annotations.txt").unlink()
    (root / "wnids.txt").unlink()
    for wnid in WNIDS:
        (root / "val" / wnid).mkdir()
    (root / "val" / "images" / "val_0.JPEG").rename(root / "val" / "n03" / "val_0.JPEG")
    splits = load_dataset("tiny-imagenet", root=root)
    assert splits.test.labels.tolist() == [2]
    assert splits.test.paths == ("val/n03/val_0.JPEG",)


def test_hidden_files_are_no_images(root):
    paths = load_dataset("tiny-imagenet", root=root).train.paths
    (root / "train" / "n01" / "images" / "._n01_0.JPEG").write_bytes(b"\0\5\x16\7")
    assert load_dataset("tiny-imagenet", root=root).train.paths == paths


def test_training_images_are_padded_cropped_and_flipped(root):
    train = load_dataset("tiny-imagenet", root=root).train
    plain, _ = train.batch([0] * 64)
    drawn, _ = train.batch([0] * 64, torch.Generator().manual_seed(0))
    again, _ = train.batch([0] * 64, torch.Generator().manual_seed(0))
    assert torch.equal(drawn, again)
    padded = torch.nn.functional.pad(plain[0], (4,) * 4)
    places = [
        (top, left, flip)
        for image in drawn
        for top in range(9)
        for left in range(9)
        for flip in (False, True)
        if torch.equal(
            image,
            (lambda part, flip: part.flip(2) if flip else part)(
                padded[:, top : top + 64, left : left + 64], flip
            ),
        )
    ]
    assert len(places) >= 64, "each is a crop of the padded image"
    assert len({top for top, _, _ in places}) > 5
    assert {flip for _, _, flip in places} == {False, True}


def test_what_is_not_as_published_is_refused(root, tmp_path_factory):
    with pytest.raises(FileNotFoundError, match=r"expected wnids\.txt"):
        load_dataset("tiny-imagenet", root=tmp_path_factory.mktemp("empty"))
    (root / "train" / "n09" / "images").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"got n09 too"):
        load_dataset("tiny-imagenet", root=root)
    (root / "train" / "n09" / "images").rmdir()
    (root / "train" / "n09").rmdir()
    (root / "val" / "images" / "val_0.JPEG").write_bytes(picture(0, size=32))
    with pytest.raises(ValueError, match=r"expected an image of 64x64 pixels, got .*of 32x32"):
        load_dataset("tiny-imagenet", root=root).test.batch([0])
    with (root / "val" / "val_annotations.txt").open("a") as file:
        file.write("val_4.JPEG\tn77\n")
    with pytest.raises(ValueError, match=r"line 5 of .*val_annotations\.txt"):
        load_dataset("tiny-imagenet", root=root)


def test_whole_images_have_another_fingerprint(root):
    test = load_dataset("tiny-imagenet", root=root).test
    assert replace(test, whole=False).fingerprint() != test.fingerprint()


def test_imagenet_has_a_thousand_classes(root, monkeypatch):
    (root / "val" / "images").rename(root / "images")
    for wnid in WNIDS:
        (root / "val" / wnid).mkdir()
        (root / "val" / wnid / "a.JPEG").write_bytes(picture(1))
        (root / "train" / wnid / "a.JPEG").write_bytes(picture(1))
    with pytest.raises(ValueError, match=r"expected the 1000 classes of ImageNet .*got 3"):
        load_dataset("imagenet", root=root, image_size=32)
    monkeypatch.setattr(wordnet_folders, "IMAGENET_CLASSES", 3)
    splits = load_dataset("imagenet", root=root, image_size=32)
    check_dataset(splits)
    assert (splits.test.name, splits.class_names) == ("imagenet", ("n01", "n02", "n03"))
