"""Data sets: uint8 at rest, [0, 1] = uint8 / 255 in use, never normalised.

Importing this package registers the data sets in ``rsmooth.registry.DATASETS``.
"""

from rsmooth.data.cifar10 import cifar10
from rsmooth.data.convert import as_image_data, to_unit
from rsmooth.data.digits import digits
from rsmooth.data.files import FolderData
from rsmooth.data.folder import folder
from rsmooth.data.images import ImageData
from rsmooth.data.npz import npz
from rsmooth.data.splits import DataSplits
from rsmooth.registry import DATASETS

__all__ = [
    "DataSplits",
    "FolderData",
    "ImageData",
    "as_image_data",
    "cifar10",
    "digits",
    "folder",
    "load_dataset",
    "npz",
    "to_unit",
]


def load_dataset(name: str, **options: object) -> DataSplits:
    """The splits of a registered data set; options as its function in this package takes them."""
    splits: DataSplits = DATASETS.create(name, **options)
    return splits
