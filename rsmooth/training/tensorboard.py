"""The metrics for TensorBoard, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def check_installed() -> None:
    """ImportError, with the remedy, where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise ImportError(
            "expected the package tensorboard for tensorboard=True, got none; install "
            "rsmooth[tensorboard], or leave the option out: metrics.jsonl holds the same numbers"
        )


class Board:
    """Writes the numbers of each epoch into a folder that ``tensorboard --logdir`` shows.

    purge_from: the first epoch to be written. Later ones, which a run left before it was killed,
        are hidden.
    """

    def __init__(self, folder: Path, purge_from: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=purge_from)

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Add an epoch's metrics."""
        for name, value in row.items():
            if name != "epoch" and not isinstance(value, str):
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
