"""Data sets that torchvision reads and fetches: opened, or refused in words that help."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rsmooth.plumbing.errors import remedy


def opened(
    make: Callable[[], Any], title: str, files: str, archive: str, root: str | os.PathLike[str]
) -> Any:
    """What ``make`` returns: a data set of torchvision.

        opened(lambda: datasets.CIFAR10(root), "CIFAR-10", "cifar-10-batches-py", ARCHIVE, root)

    title: of the data set. files: what lies in root, in words. archive: what there is to fetch.

    FileNotFoundError where the files are absent or harmed, OSError where they cannot be fetched,
    ValueError where they cannot be read.
    """
    try:
        return make()
    except OSError as error:  # without a network, urllib names neither address nor remedy
        raise OSError(
            f"expected to fetch {title} into {root}, got {error}; fetch {archive} elsewhere and "
            "unpack it there"
        ) from error
    except (AssertionError, EOFError, KeyError, RuntimeError, TypeError, ValueError) as error:
        said = str(error)
        if "Error downloading" in said:
            raise OSError(
                f"expected to fetch {title} into {root}, got {error}; fetch {archive} elsewhere "
                "and put it there"
            ) from error
        if isinstance(error, RuntimeError) and "not found" in said:
            raise FileNotFoundError(
                f"expected {title} ({files}, unharmed) in {root}; "
                + remedy("give download=True", "give --dataset.download true")
                + " to fetch it there, or use the data set 'npz' for an .npz file"
            ) from error
        raise ValueError(
            f"expected {title} ({files}, unharmed) in {root}, got files that cannot be read "
            f"({type(error).__name__}: {error}); fetch {archive} again"
        ) from error
