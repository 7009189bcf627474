"""Folders of image files: order, labels, subsets, splits and their names."""

import pytest
import torch
from PIL import Image

from rsmooth.data import FolderData, as_image_data, load_dataset
from rsmooth.plumbing.errors import on_command_line


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


def test_splits_can_have_other_names_or_be_absent(root, tmp_path):
    assert load_dataset("folder", root=root, train="val", test="train").test.num_classes == 3
    assert load_dataset("folder", root=root, test="absent").test is None
    only_test = load_dataset("folder", root=root, train="absent")
    assert (only_test.train, only_test.validation, len(only_test.test)) == (None, None, 6)
    with pytest.raises(FileNotFoundError, match="expected a folder train or val with a sub-folder"):
        load_dataset("folder", root=tmp_path)
    with pytest.raises(ValueError, match="expected image_size >= 1, got 0"):
        load_dataset("folder", root=root, image_size=0)


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def test_hidden_folders_are_no_classes(tmp_path):
    for path in ("val/a/0.png", "val/b/0.png", "val/.ipynb_checkpoints/0.png"):
        picture(tmp_path / path)
    (tmp_path / "val" / ".cache").mkdir()
    found = load_dataset("folder", root=tmp_path, image_size=4)
    assert found.num_classes == 2
    assert found.test.labels.tolist() == [0, 1]


def test_hidden_files_are_no_images(root):
    """Copies that a notebook keeps, and what macOS puts beside an image on another disk."""
    plain = load_dataset("folder", root=root, image_size=16)
    picture(root / "train/class0/.ipynb_checkpoints/00-checkpoint.png")
    (root / "val/class1/._00.png").write_bytes(b"\0\5\x16\7")
    found = load_dataset("folder", root=root, image_size=16)
    assert (found.train.paths, found.test.paths) == (plain.train.paths, plain.test.paths)


def test_a_hidden_folder_above_hides_nothing(tmp_path):
    picture(tmp_path / ".cache/val/a/0.png")
    assert len(load_dataset("folder", root=tmp_path / ".cache").test) == 1


def test_folders_that_hold_no_images_are_named(tmp_path):
    picture(tmp_path / "val/a/0.png")
    (tmp_path / "val" / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"sub-folder of .*val, .*empty.*; delete the emp"):
        load_dataset("folder", root=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"a sub-folder for each class in .*a, got none"):
        load_dataset("folder", root=tmp_path / "val", test="a")


def test_split_folders_of_other_names_are_named_with_their_option(tmp_path):
    picture(tmp_path / "test/a/0.png")
    with pytest.raises(FileNotFoundError, match=r"got the folders test; name them as train=FOLD"):
        load_dataset("folder", root=tmp_path)
    with (
        on_command_line(),
        pytest.raises(FileNotFoundError, match=r"or --dataset\.test FOLDER"),
    ):
        load_dataset("folder", root=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"got .*nowhere, which is not there; check root"):
        load_dataset("folder", root=tmp_path / "nowhere")


def test_splits_must_have_the_same_classes(tmp_path):
    for path in ("train/a/0.png", "train/b/0.png", "val/a/0.png"):
        (tmp_path / path).parent.mkdir(parents=True)
        Image.new("RGB", (4, 4)).save(tmp_path / path)
    with pytest.raises(
        ValueError, match=r"expected the same classes in train and val of .*, got 2 and 1"
    ):
        load_dataset("folder", root=tmp_path)


def test_a_class_file_numbers_the_folders_that_are_there(tmp_path):
    for path in ("train/c/0.png", "train/b/0.png", "val/d/0.png", "val/b/0.png"):
        picture(tmp_path / path)
    (tmp_path / "classes.txt").write_text("a\nb\nc\nd\ne\n")
    found = load_dataset("folder", root=tmp_path, image_size=4, classes=tmp_path / "classes.txt")
    assert found.num_classes == found.test.num_classes == 5
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([1, 2], [1, 3])
    assert not found.test.numbered_by_place
    by_place = load_dataset("folder", root=tmp_path, image_size=4, train="none")
    assert by_place.test.labels.tolist() == [0, 1]
    assert by_place.test.numbered_by_place
    assert by_place.test.fingerprint() != found.test.fingerprint()
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match=r"of .*val to be listed in .*classes\.txt, got d, which"):
        load_dataset("folder", root=tmp_path, classes=tmp_path / "classes.txt")


def test_images_of_the_right_size_may_stay_as_they_are(tmp_path):
    pixels = torch.randint(0, 256, (8, 8, 3), generator=torch.Generator().manual_seed(0))
    (tmp_path / "val/a").mkdir(parents=True)
    Image.fromarray(pixels.byte().numpy()).save(tmp_path / "val/a/0.png")
    data = {
        size: load_dataset("folder", root=tmp_path, image_size=8, resize=size).test
        for size in (None, 8, 10)
    }
    assert torch.equal(data[8].batch([0])[0][0], pixels.byte().permute(2, 0, 1))
    assert not torch.equal(data[None].batch([0])[0], data[8].batch([0])[0])
    assert len({each.fingerprint() for each in data.values()}) == 3
    with pytest.raises(ValueError, match="expected resize >= image_size = 8, got 7"):
        load_dataset("folder", root=tmp_path, image_size=8, resize=7)
