"""A small certification that several tests record: as it is, disturbed, and resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsmooth.certify import CertificationLog, CertifySettings, certify_dataset
from rsmooth.certify.run import stream
from rsmooth.certify.votes import schedule as engine
from rsmooth.data import ImageData
from rsmooth.records.log import VOTES
from tests.certify.nets import images, small_net
from tests.processes import PROCESSES

SETTINGS = CertifySettings(n0=20, n=300, batch_size=32, precision="float32", compile="never")


def seven() -> ImageData:
    """Seven images with an index that is not their position."""
    return ImageData(
        images(7),
        torch.tensor([0, 1, 2, 3, 0, 1, 2]),
        torch.arange(7) * 20 + 3,
        4,
        "random",
        "test",
    )


def run_in_process(folder: Path, count: int, environment: dict[str, str]) -> None:
    """What every process of these tests does: certify the seven images."""
    torch.set_num_threads(1)
    engine.MOST_PASSES = 1  # many rounds, so that a kill meets one of them
    stream.CHECKPOINT_SECONDS = stream.LOST_SECONDS = 0.0
    os.environ.update(environment)
    certify_dataset(small_net(), seven(), folder, SETTINGS, workers=count, progress=False)


def launch(folder: Path, count: int = 1, **environment: str) -> Any:
    process = PROCESSES.Process(target=run_in_process, args=(folder, count, environment))
    process.start()
    return process


def exit_codes(*processes: Any) -> list[int]:
    for process in processes:
        process.join(timeout=120)
    return [process.exitcode for process in processes]


def same(log: CertificationLog, reference: CertificationLog) -> bool:
    """Equal in everything but the time."""
    return all(
        np.array_equal(getattr(log, name), getattr(reference, name))
        for name in ("idx", "label", "predict", "radius", "correct", *VOTES)
    )
