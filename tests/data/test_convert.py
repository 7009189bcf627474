"""Arrays, tensors and data sets of others become ImageData, or an error that says why not."""

import numpy as np
import pytest
import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from rsmooth.data import as_image_data, convert, load_dataset, to_unit

X = torch.randint(
    0, 256, (6, 3, 4, 5), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)
Y = torch.tensor([0, 1, 2, 0, 1, 2])


class Pairs(Dataset):
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return self.images[i], int(Y[i])


PILLOW = [torchvision.transforms.functional.to_pil_image(x) for x in X]


@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        [X, Y],
        (X.numpy(), Y.numpy()),
        (X, Y.tolist()),
        (X.permute(0, 2, 3, 1).numpy(), Y.numpy().astype(np.uint8)[:, None]),
        (X / 255, Y),
        (X.double() / 255, Y.to(torch.int32)),
        (X.float() * np.float32(1 / 255), Y),
        TensorDataset(X, Y),
        TensorDataset(X / 255, Y),
        Pairs(X),
        Pairs(X / 255),
        Pairs(PILLOW),
    ],
    ids=lambda data: type(data).__name__,
)
def test_every_form_gives_the_same_images(data):
    result = as_image_data(data)
    assert result.images.dtype == torch.uint8
    assert torch.equal(result.images, X)
    assert torch.equal(result.labels, Y)
    assert result.index.tolist() == list(range(6))
    assert result.num_classes == 3


def test_images_off_the_grid_stay_as_they_are():
    x = torch.rand(6, 3, 4, 5, dtype=torch.float64)
    result = as_image_data((x, Y))
    assert torch.equal(result.images, x.float())
    assert torch.equal(to_unit(result.images), x.float())
    nearly = X / 255 + 1e-5 * (X < 255)
    assert as_image_data((nearly, Y)).images.dtype == torch.float32


class Largest(TorchDispatchMode):
    """Notes how many float64 numbers the largest answer has."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        answer = function(*args, **(kwargs or {}))
        if isinstance(answer, torch.Tensor) and answer.dtype == torch.float64:
            self.numbers = max(self.numbers, answer.numel())
        return answer


def test_images_are_rounded_in_parts_and_judged_together(monkeypatch):
    monkeypatch.setattr(convert, "VALUES", 150)  # 2 of the 6 images
    with Largest() as largest:
        assert torch.equal(convert.at_rest(X / 255), X)
    assert 0 < largest.numbers <= 150, "expected float64 of some images at a time"
    for at in range(len(X)):
        x = X / 255
        x[at, 0, 0, 0] = 0.3
        assert torch.equal(convert.at_rest(x), x)
    assert convert.at_rest(X[:0] / 255).dtype == torch.uint8


@pytest.mark.parametrize(
    "images", [X[:, 0], X[:, 0] / 255, Pairs([image.getchannel(0) for image in PILLOW])]
)
def test_images_without_a_channel_get_one(images):
    result = as_image_data(images if isinstance(images, Pairs) else (images, Y))
    assert torch.equal(result.images, X[:, :1])


def test_num_classes_can_be_given_and_is_checked():
    assert as_image_data((X, Y), num_classes=10).num_classes == 10
    with pytest.raises(ValueError, match=r"expected labels within 0\.\.1, got 0\.\.2"):
        as_image_data((X, Y), num_classes=2)
    data = as_image_data((X, Y))
    assert as_image_data(data) is data
    assert as_image_data(data, num_classes=3) is data
    with pytest.raises(ValueError, match="expected data of 10 classes, got ImageData"):
        as_image_data(data, num_classes=10)


class Stream(IterableDataset):
    def __iter__(self):
        return iter(())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X / 127, Y), r"expected images in \[0, 1\].*put the normalisation into the model"),
        (((X / 255 - 0.5) / 0.2, Y), r"expected images in \[0, 1\]"),
        ((X.long(), Y), "expected floating-point images"),
        ((X, Y[:5]), r"expected labels as int64 \(6,\), got torch.int64 \(5,\)"),
        ((X, Y.float()), "expected integer labels, got torch.float32"),
        (
            (X, torch.nn.functional.one_hot(Y)),
            r"expected labels \(N,\) or \(N, 1\), got \(6, 3\); one-hot labels",
        ),
        ((X, Y, Y), "expected ImageData, .* got tuple"),
        (X, "expected ImageData, .* got Tensor"),
        (Pairs([]), "a map-style data set of such pairs that is not empty, got Pairs"),
        (Stream(), r"got Stream; read it into \(images, labels\) first"),
        (7, "got int"),
        (load_dataset("digits"), r"got DataSplits; give one of its splits, such as data\.train"),
        ({"train": Pairs(PILLOW)}, r"got dict; choose one of its entries, such as data\['train'\]"),
        (np.zeros((2, 3, 4, 4)), r"got ndarray; give labels too: \(images, labels\)"),
    ],
)
def test_anything_else_is_refused(data, message):
    with pytest.raises(ValueError, match=message):
        as_image_data(data)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_loader_is_its_data_set_in_the_order_of_that(shuffle):
    loader = DataLoader(Pairs(PILLOW), batch_size=4, shuffle=shuffle, drop_last=True)
    data, own = as_image_data(loader), as_image_data(Pairs(PILLOW))
    assert torch.equal(data.images, own.images)
    assert torch.equal(data.labels, own.labels)
    assert data.name == "Pairs"


def keep_first(batch):
    return batch[0]


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"sampler": SubsetRandomSampler([0, 1])}, "SubsetRandomSampler"),
        ({"sampler": RandomSampler(Pairs(PILLOW), replacement=True)}, "RandomSampler"),
        ({"sampler": RandomSampler(Pairs(PILLOW), num_samples=2)}, "RandomSampler"),
        ({"sampler": WeightedRandomSampler([1.0, 0.0], 6)}, "WeightedRandomSampler"),
        ({"batch_sampler": [[0, 1]]}, "list"),
        ({"collate_fn": keep_first}, "collate_fn keep_first"),
    ],
)
def test_a_loader_that_would_give_other_images_is_refused(options, got):
    with pytest.raises(ValueError, match=rf"{got}.*; give the data set: loader\.dataset, or"):
        as_image_data(DataLoader(Pairs(PILLOW), **options))
    with pytest.raises(ValueError, match="expected a DataLoader of a map-style data set"):
        as_image_data(DataLoader(Stream()))


class Rows:
    """Rows as those of Hugging Face: no Dataset of torch, and names of their own."""

    def __init__(self, image, label):
        self.names = image, label

    def __len__(self):
        return len(PILLOW)

    def __getitem__(self, i):
        return {"id": i, self.names[0]: PILLOW[i], self.names[1]: int(Y[i]), "coarse_label": 0}


@pytest.mark.parametrize("names", [("image", "label"), ("img", "label"), ("img", "fine_label")])
def test_rows_of_an_image_and_a_label(names):
    data, own = as_image_data(Rows(*names)), as_image_data(Pairs(PILLOW))
    assert torch.equal(data.images, own.images)
    assert torch.equal(data.labels, Y)
    assert (data.name, data.split) == ("Rows", "train")
    assert as_image_data(Rows(*names), split="as given").split == "as given"


def test_rows_of_hugging_face():
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )
    rows = datasets.Dataset.from_dict({"image": PILLOW, "label": Y.tolist()}, features=features)
    own = as_image_data(Pairs(PILLOW))
    for given in (rows, rows.with_format("torch"), DataLoader(rows, collate_fn=None)):
        data = as_image_data(given, num_classes=3)
        assert torch.equal(data.images, own.images)
        assert torch.equal(data.labels, Y)
    with pytest.raises(ValueError, match=r"got DatasetDict; choose .*data\['test'\]"):
        as_image_data(datasets.DatasetDict(test=rows))


def test_splits_of_a_registered_data_set_pass_through():
    test = load_dataset("digits").test
    assert as_image_data(test) is test
