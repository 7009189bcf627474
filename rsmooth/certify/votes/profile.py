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
from rsmooth.models.int8.network import DTYPE, check_machine, is_int8
from rsmooth.models.state import device_of
from rsmooth.plumbing.parallel import pick_device
from rsmooth.smoothed import SmoothedClassifier


@dataclass(frozen=True)
class Profile:
    """How the network is executed.

        choose_network(g, shape, settings, samples=1e6).profile

    device_name: of a GPU; of a CPU its architecture and widest vectors, and of an Int8Network the
        instructions that sum its integers.
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

    ValueError for a device that this machine does not have, and for settings that make no sense for
    an Int8Network, or for another network.
    """
    device = device_of(g.base) if settings.device is None else pick_device(settings.device)
    on_gpu = device.type == "cuda"
    integers = _in_integers(g, settings, device)
    return Profile(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if on_gpu else _processor(integers),
        dtype=_dtype(settings, integers),
        batch=settings.batch_size or default_batch(shape, on_gpu, integers),
        compiled="no",
        tf32=on_gpu and torch.backends.cudnn.allow_tf32,
        float32_matmul=torch.get_float32_matmul_precision(),
    )


def default_batch(shape: torch.Size, on_gpu: bool, integers: bool = False) -> int:
    """Noisy images per pass: as many values as 128 CIFAR images on a core, or 4,096 on a GPU.

    The cache of a core holds that many, and twice as many integers of 8 bits.
    """
    values = (4096 if on_gpu else 256 if integers else 128) * 3 * 32 * 32
    return max(4, min(4096 if on_gpu else 1024, values // max(1, shape.numel())))


def _processor(integers: bool) -> str:
    """What decides which kernels a CPU runs: its architecture and its widest vectors."""
    name = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    return f"{name} {check_machine()}" if integers else name


def _dtype(settings: Execution, integers: bool) -> str:
    if integers:
        return DTYPE
    return "float32" if settings.precision == "auto" else settings.precision


def _in_integers(g: SmoothedClassifier, settings: Execution, device: torch.device) -> bool:
    """Whether the network is one of integers; ValueError for settings that do not fit it."""
    if not is_int8(g.base):
        if settings.precision == DTYPE:
            raise ValueError(
                "expected an Int8Network for precision='int8', got "
                f"{type(g.base).__name__}; make one first, which is another classifier with "
                "certificates of its own: rsmooth.models.quantize(g, train_images), or rsmooth "
                "quantize RUN --out FILE"
            )
        return False
    if settings.precision not in ("auto", DTYPE):
        raise ValueError(
            "expected precision 'auto' or 'int8' for an Int8Network, got "
            f"{settings.precision!r}; leave precision out"
        )
    if settings.compile == "always":
        raise ValueError(
            "expected compile 'auto' or 'never' for an Int8Network, whose kernels are not "
            "compiled, got 'always'; leave compile out"
        )
    if device.type != "cpu":
        raise ValueError(
            f"expected an Int8Network on a CPU, got the device {device}; give device='cpu'"
        )
    return True


def recall_profile(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, recorded: Profile
) -> Profile:
    """The profile of a run that continues: by its settings, or by the record where they are open.

    Where it differs from the record, the journal refuses the run.
    """
    here = plain_profile(g, shape, settings)
    fixed = settings.precision != "auto" or DTYPE in (here.dtype, recorded.dtype)
    return replace(
        here,
        dtype=here.dtype if fixed else recorded.dtype,
        batch=settings.batch_size or recorded.batch,
        compiled=recorded.compiled if settings.compile == "auto" else here.compiled,
    )
