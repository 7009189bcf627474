"""How the base classifier is executed, as a value: one dtype, layout and batch size for a run.

In floating point, each of these choices makes another function of the same network. A certificate
is about the function that was executed. So the profile is chosen once and recorded. A resumed run
takes it from the record.
"""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch

from rsmooth.certify.settings import Execution
from rsmooth.plumbing.parallel import pick_device
from rsmooth.smoothed import SmoothedClassifier


@dataclass(frozen=True)
class Profile:
    """How the network is executed.

        choose_network(g, shape, settings, samples=1e6).profile

    compiled: "no"; "inductor", which is torch.compile with frozen weights; or "cuda-graph", which
        is eager kernels with one launch per pass.
    batch: noisy images per pass.
    tf32, float32_matmul: torch's settings for the precision of float32 convolutions and matrix
        products.
    """

    device: str
    device_name: str
    dtype: str
    batch: int
    compiled: str
    memory_format: str = "channels_last"
    batchnorm: str = "folded"
    tf32: bool = False
    float32_matmul: str = "highest"
    torch: str = torch.__version__

    def record(self) -> dict[str, Any]:
        """The profile as plain values.

        Of the device, only its kind: which of several GPUs it was decides nothing.
        """
        return {**asdict(self), "device": torch.device(self.device).type}

    @classmethod
    def of_record(cls, record: Any) -> Profile:
        """The profile that ``record`` wrote.

        ValueError for other entries, as another version may write them.
        """
        known = {field.name: field.type for field in fields(cls)}
        found = (
            {key: type(value).__name__ for key, value in record.items()}
            if isinstance(record, dict)
            else record
        )
        if found != known:
            raise ValueError(f"expected a numerics profile of {', '.join(known)}, got {record!r}")
        return cls(**record)


def plain_profile(g: SmoothedClassifier, shape: torch.Size, settings: Execution) -> Profile:
    """The profile of the settings on this device: not compiled, float32 where precision is "auto".

        plain_profile(g, torch.Size((3, 32, 32)), CertifySettings())

    ValueError for a device that this machine does not have.
    """
    parameter = next(g.base.parameters(), None)
    if settings.device is not None:
        device = pick_device(settings.device)
    else:
        device = torch.device("cpu") if parameter is None else parameter.device
    on_gpu = device.type == "cuda"
    return Profile(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if on_gpu else _processor(),
        dtype="float32" if settings.precision == "auto" else settings.precision,
        batch=settings.batch_size or default_batch(shape, on_gpu),
        compiled="no",
        tf32=on_gpu and torch.backends.cudnn.allow_tf32,
        float32_matmul=torch.get_float32_matmul_precision(),
    )


def default_batch(shape: torch.Size, on_gpu: bool) -> int:
    """Noisy images per pass: as many values as 128 CIFAR images on a core, or 4,096 on a GPU.

    The cache of a core holds that many.
    """
    values = (4096 if on_gpu else 128) * 3 * 32 * 32
    return max(4, min(4096 if on_gpu else 1024, values // max(1, shape.numel())))


def _processor() -> str:
    """What decides which kernels a CPU runs: its architecture and its widest vectors."""
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def recall_profile(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, recorded: Profile
) -> Profile:
    """The profile of a run that continues: by its settings, or by the record where they are open.

    Where it differs from the record, the journal refuses the run.
    """
    here = plain_profile(g, shape, settings)
    return replace(
        here,
        dtype=recorded.dtype if settings.precision == "auto" else here.dtype,
        batch=settings.batch_size or recorded.batch,
        compiled=recorded.compiled if settings.compile == "auto" else here.compiled,
    )
