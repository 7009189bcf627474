"""Arrays in the layout of an .npz data set, and what every carved split owes."""

from __future__ import annotations

import numpy as np

ARRAYS = {
    name: np.random.default_rng(7).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    for name, n in (("x_train", 40), ("x_test", 20))
}
ARRAYS |= {"y_train": np.arange(40) % 5, "y_test": (np.arange(20) % 5)[:, None].astype(np.uint8)}


def check_splits(splits, train_count):
    """Every training image is in one of train and validation, both in the published order."""
    held_out = splits.validation.index.tolist() if splits.validation else []
    kept = splits.train.index.tolist()
    assert sorted(kept + held_out) == list(range(train_count))
    assert kept == sorted(kept)
    assert held_out == sorted(held_out)
    return held_out
