"""Sources: the same images and crops, whatever the batches and workers."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.data import ImageData, load_dataset
from rsmooth.data.convert import as_training_data
from rsmooth.data.items import ItemData
from rsmooth.defenses import Trainer
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.draws import Draws
from rsmooth.training.sources import PseudoLabels, _Reader, as_source, crops
from tests.training.helpers import classifier, images, weights

CPU = torch.device("cpu")


def gathered(
    data: ImageData, shares: list[Tensor], augment: bool | None = True
) -> tuple[Tensor, Tensor, Tensor]:
    source = as_source(data, Draws(0), device=CPU, augment=augment, workers=0)
    x, y, ids = (torch.cat(parts) for parts in zip(*source.batches(shares, 3), strict=True))
    order = ids.argsort()
    return x[order], y[order], ids[order]


@pytest.mark.parametrize("size", [1, 5, 24])
def test_augmented_images_do_not_depend_on_the_batches(size: int) -> None:
    data = images(channels=3)
    whole = gathered(data, [torch.arange(24)])
    split = gathered(data, list(torch.split(torch.randperm(24), size)))
    assert all(torch.equal(a, b) for a, b in zip(whole, split, strict=True))


def test_images_without_colour_are_left_alone_unless_asked() -> None:
    grey, colour, everything = images(), images(channels=3), [torch.arange(24)]
    assert torch.equal(gathered(grey, everything, None)[0], grey.images.float() / 255)
    assert not torch.equal(gathered(grey, everything, True)[0], grey.images.float() / 255)
    assert not torch.equal(gathered(colour, everything, None)[0], colour.images.float() / 255)
    assert torch.equal(gathered(colour, everything, False)[0], colour.images.float() / 255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("folder")
    for i, image in enumerate(images(9, channels=3, size=20).images):
        path = root / "train" / str(i % 3)
        path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path / f"{i}.png")
    return root


def test_image_folders_stream_the_same_crops_whatever_the_batches_and_workers(folder: Path) -> None:
    data = load_dataset("folder", root=folder, image_size=16).train
    results = []
    for workers, size in ((0, 9), (1, 2)):
        source = as_source(data, Draws(0), device=CPU, augment=None, workers=workers)
        x, _, ids = (
            torch.cat(parts)
            for parts in zip(*source.batches(torch.split(torch.arange(9), size), 0), strict=True)
        )
        results.append((x, ids))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    # Windows, macOS and Python 3.14 send a reader to its workers, in place of a fork.
    reader = pickle.loads(pickle.dumps(_Reader(data, (torch.arange(9),), 0, Draws(0))))
    assert torch.equal(reader[0][0].float() / 255, results[0][0])
    other = next(
        iter(
            as_source(data, Draws(1), device=CPU, augment=None, workers=0).batches(
                [torch.arange(9)], 0
            )
        )
    )[0]
    assert not torch.equal(results[0][0], other)


def test_image_folders_train(folder: Path, tmp_path: Path) -> None:
    data = load_dataset("folder", root=folder, image_size=16).train
    g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=3, width=4), 0.1, 3)
    history = Trainer(epochs=2, batch_size=4, lr=0.01, workers=0).fit(
        g, data, validation=data, run_dir=tmp_path, progress=False
    )
    assert [row["images"] for row in history] == [9, 9]


@pytest.mark.parametrize("workers", [0, 1])
def test_image_folders_resume_with_the_same_crops(
    folder: Path, tmp_path: Path, workers: int
) -> None:
    """Stopped within the second epoch; crops and noise are keyed by (epoch, image, copy).

    Starts of the attack are not: they come from torch's own generator, of which no reader takes.
    """
    data = load_dataset("folder", root=folder, image_size=16).train

    def fit(run_dir: Path, last: tuple[int, int] | None = None) -> Tensor:
        def stop(*at: int) -> None:
            if at == last:
                raise InterruptedError

        torch.manual_seed(0)
        g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=3, width=4), 0.1, 3)
        trainer = Trainer(
            attack=SmoothAdvPGD(epsilon=0.3, steps=1, random_start=True),
            num_noise=2,
            epochs=3,
            batch_size=6,
            lr=0.01,
            workers=workers,
            checkpoint_seconds=1e-9,
        )
        with suppress(InterruptedError):
            trainer.fit(g, data, run_dir=run_dir, progress=False, callback=stop)
        return weights(g)

    whole = fit(tmp_path / "whole")
    assert not torch.equal(fit(tmp_path / "stopped", last=(1, 2)), whole)
    assert torch.equal(fit(tmp_path / "stopped"), whole)


class Flipped(Dataset[tuple[Tensor, int]]):
    """Images that a transform of their own flips at random, and how often each was read."""

    def __init__(self, data: ImageData) -> None:
        self.data = data
        self.reads = torch.zeros(len(data), dtype=torch.int64)
        self.seen: list[set[bool]] = [set() for _ in range(len(data))]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        self.reads[i] += 1
        flip = bool(torch.rand(()) < 0.5)
        self.seen[i].add(flip)
        image = self.data.images[i] / 255
        return (image.flip(2) if flip else image), int(self.data.labels[i])


def test_random_transforms_are_drawn_anew_for_every_epoch() -> None:
    """One image is flipped alike in 12 epochs with probability 2^-11; the seed is fixed."""
    data = Flipped(images())
    source = as_training_data(data, 3)
    data.reads.zero_()
    data.seen = [set() for _ in data.seen]
    trainer = Trainer(epochs=12, batch_size=12, lr=0.01, precision="float32")
    trainer.fit(small(), data, progress=False)
    assert isinstance(source, ItemData)
    assert sum(len(seen) == 2 for seen in data.seen) >= 23
    first = [as_source(source, Draws(0), device=CPU, augment=None, workers=4)]
    epochs = [
        torch.cat([x for x, _, _ in first[0].batches([torch.arange(24)], epoch)])
        for epoch in (0, 1, 1)
    ]
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[1], epochs[2])
    split = torch.cat([x for x, _, _ in first[0].batches(list(torch.arange(24).split(7)), 1)])
    assert torch.equal(split, epochs[1])
    cropped = as_source(source, Draws(0), device=CPU, augment=True, workers=4)
    again = torch.cat([x for x, _, _ in cropped.batches([torch.arange(24)], 1)])
    assert not torch.equal(again, epochs[1])


def test_a_run_on_random_transforms_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    trainer = Trainer(
        epochs=3, batch_size=12, lr=0.01, precision="float32", checkpoint_seconds=1e-9
    )
    whole, parts = small(), small()
    trainer.fit(whole, Flipped(images()), progress=False)

    def stop(epoch: int, step: int) -> None:
        if (epoch, step) == (1, 1):
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        trainer.fit(parts, Flipped(images()), run_dir=tmp_path, progress=False, callback=stop)
    trainer.fit(parts, Flipped(images()), run_dir=tmp_path, progress=False)
    assert torch.equal(weights(parts), weights(whole))


def test_random_transforms_are_refused_where_figures_are_made() -> None:
    with pytest.raises(ValueError, match="same images at every reading, got others for item"):
        Trainer(epochs=1).fit(small(), images(), validation=Flipped(images()), progress=False)


def small() -> SmoothedClassifier:
    torch.manual_seed(0)
    options = {"num_classes": 3, "in_channels": 1, "width": 4}
    return SmoothedClassifier(MODELS.create("small-cnn", **options), 0.25, 3)


@pytest.mark.parametrize(("size", "cropped"), [((1, 64), False), ((64, 7), False), ((8, 8), True)])
def test_images_that_a_crop_could_move_out_of_sight_are_cropped_on_demand_alone(
    size: tuple[int, int], cropped: bool
) -> None:
    pixels = torch.zeros(2, 3, *size, dtype=torch.uint8)
    data = ImageData(pixels, torch.tensor([0, 1]), torch.arange(2), 2, "x", "y")
    assert crops(data, None) is cropped
    assert crops(data, True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_teacher_of_pseudo_labels_gets_no_gradient(dtype: torch.dtype, tmp_path: Path) -> None:
    data = images(8)
    teacher = torch.nn.Linear(data.images[0].numel(), data.num_classes).to(dtype)
    answers = teacher(data.images.flatten(1).to(dtype) / 255).softmax(dim=1)
    labels = PseudoLabels(data, answers)
    trainer = Trainer(epochs=2, batch_size=4)
    trainer.fit(classifier(), data, unlabelled=labels, run_dir=tmp_path, progress=False)
    assert teacher.weight.grad is None
