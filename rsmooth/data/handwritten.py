"""The embedded data set: 1,797 handwritten digits of 8x8 pixels, from scikit-learn."""

from __future__ import annotations

import numpy as np
import torch

from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits, carve_validation
from rsmooth.plumbing.optional import optional
from rsmooth.registry import DATASETS

TEST_IMAGES = 500


@DATASETS.register("digits")
def digits(validation: float = 0.1, seed: int = 0) -> DataSplits:
    """Scikit-learn's 8x8 digits; the last 500 images are the test split.

        splits = load_dataset("digits", validation=200)

    validation: a count or fraction of the 1,297 training images, chosen by seed.

    Grey levels 0..16 become round(level * 255 / 16). index is the position in scikit-learn's order.
    """
    # Here, since scikit-learn takes a second to import.
    sets = optional("sklearn.datasets", "the data set digits (scikit-learn)", "'rsmooth[digits]'")
    bunch = sets.load_digits()
    images = torch.from_numpy(np.rint(bunch.images * 255 / 16).astype(np.uint8)).unsqueeze(1)
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    index = torch.arange(len(labels), device="cpu")
    first = len(labels) - TEST_IMAGES
    train = ImageData(images[:first], labels[:first], index[:first], 10, "digits", "train")
    test = ImageData(images[first:], labels[first:], index[first:], 10, "digits", "test")
    train, held_out = carve_validation(train, validation, seed)
    return DataSplits(train, held_out, test, num_classes=10, image_shape=(1, 8, 8), augment=False)
