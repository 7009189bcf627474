"""How the base classifier is executed, as a value: batches, and what a record holds and refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.certify.votes.profile import default_batch, plain_profile, recall_profile
from rsmooth.data import ImageData
from rsmooth.plumbing.errors import RecordError
from tests.certify.nets import images, sensitive


def test_default_batch_follows_the_size_of_the_images() -> None:
    assert default_batch(torch.Size((3, 32, 32)), on_gpu=False) == 128
    assert default_batch(torch.Size((1, 8, 8)), on_gpu=False) == 1024
    assert default_batch(torch.Size((3, 224, 224)), on_gpu=False) == 4
    assert default_batch(torch.Size((3, 32, 32)), on_gpu=True) == 4096
    assert default_batch(torch.Size((3, 32, 32)), on_gpu=False, integers=True) == 256


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a device, got 'gpu'; use cpu, cuda"):
        plain_profile(sensitive(), torch.Size((1, 4, 4)), CertifySettings(device="gpu"))


@pytest.mark.parametrize(
    ("options", "dtype", "batch", "compiled"),
    [
        ({}, "bfloat16", 7, "inductor"),
        ({"precision": "float32"}, "float32", 7, "inductor"),
        ({"batch_size": 9}, "bfloat16", 9, "inductor"),
        ({"compile": "never"}, "bfloat16", 7, "no"),
    ],
)
def test_what_settings_leave_open_is_as_recorded(
    options: dict[str, Any], dtype: str, batch: int, compiled: str
) -> None:
    g, shape = sensitive(), torch.Size((1, 4, 4))
    here = plain_profile(g, shape, CertifySettings())
    assert not here.tf32  # which no CPU has
    recorded = replace(here, dtype="bfloat16", batch=7, compiled="inductor", device_name="other")
    found = recall_profile(g, shape, CertifySettings(**options), recorded)
    assert found == replace(here, dtype=dtype, batch=batch, compiled=compiled)


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("workers", [1, 2])
def test_the_precision_of_matrix_products_is_recorded_and_the_workers_too(
    workers: int, tmp_path: Path
) -> None:
    data = ImageData(
        images(2), torch.zeros(2, dtype=torch.int64), torch.arange(2), 4, "random", "test"
    )
    torch.set_float32_matmul_precision("medium")
    try:
        log = certify_dataset(
            sensitive(), data, tmp_path, CertifySettings(n=20), workers=workers, progress=False
        )
    finally:
        torch.set_float32_matmul_precision("highest")
    assert log.provenance["numerics"]["float32_matmul"] == "medium"
    assert log.counts is not None
    assert log.counts[:, 3].tolist() == [20, 20], "expected the network to see the setting"
    with pytest.raises(RecordError, match="float32_matmul"):
        certify_dataset(
            sensitive(), data, tmp_path, CertifySettings(n=20), workers=workers, progress=False
        )
