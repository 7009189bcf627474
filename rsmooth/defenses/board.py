"""The metrics for TensorBoard, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Board:
    """Writes the numbers of each epoch as scalars into a folder that ``tensorboard --logdir`` shows.

    purge_from: the first epoch to be written; later ones that a run left there before it was killed are hidden.
    """

    def __init__(self, folder: Path, purge_from: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("expected the package tensorboard for tensorboard=True; install rsmooth[tensorboard], "
                              "or leave the option out: metrics.jsonl holds the same numbers") from error
        self._writer = SummaryWriter(str(folder), purge_step=purge_from)

    def write(self, row: Mapping[str, float | int | str]) -> None:
        """Add an epoch's metrics."""
        for name, value in row.items():
            if name != "epoch" and not isinstance(value, str):
                self._writer.add_scalar(name, value, int(row["epoch"]))
        self._writer.flush()
