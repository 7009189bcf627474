"""Data sets: uint8 at rest, [0, 1] = uint8 / 255 in use, never normalised.

Importing this package registers the data sets in ``rsmooth.registry.DATASETS``.
"""

from rsmooth.data.cifar10 import cifar10
from rsmooth.data.convert import as_image_data, to_unit
from rsmooth.data.digits import digits
from rsmooth.data.images import DataSplits, ImageData
from rsmooth.data.npz import npz
from rsmooth.registry import DATASETS

__all__ = [
    "DataSplits",
    "ImageData",
    "as_image_data",
    "cifar10",
    "digits",
    "load_dataset",
    "npz",
    "to_unit",
]


def load_dataset(name: str, **options: object) -> DataSplits:
    """The splits of a registered data set; options as its function in this package takes them."""
    splits: DataSplits = DATASETS.create(name, **options)
    return splits
