"""Shared by the tests of image folders."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


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
