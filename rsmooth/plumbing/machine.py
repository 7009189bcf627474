"""The kind of machine, as far as it decides how networks are computed. Nothing is timed."""

from __future__ import annotations

import platform
import warnings
from typing import Any

import torch


def computes_bfloat16(device: str | torch.device) -> bool:
    """Whether the device has instructions for bfloat16, and does not only emulate it.

    computes_bfloat16("cpu")      # True with AVX512-BF16, AMX, or those of Arm
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    onednn: Any = torch.backends.mkldnn
    if torch.device(device).type != "cpu" or not onednn.is_available():
        return False  # as in builds for macOS
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):
        # oneDNN also says yes to AVX512 without them, where it is several times slower.
        cpu: Any = torch.cpu
        flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(cpu, flag, lambda: False)() for flag in flags)
    return True


def remark_on_emulation(device: str | torch.device) -> None:
    """Warn where the device only emulates bfloat16, which was asked for by name.

        remark_on_emulation("cpu")      # a UserWarning on a CPU without instructions for it

    Nothing is known of devices other than CPUs and CUDA's, and nothing said.
    """
    if torch.device(device).type in ("cpu", "cuda") and not computes_bfloat16(device):
        warnings.warn(
            f"bfloat16 is only emulated by this {torch.device(device).type}, which has no "
            "instructions for it: it takes many times longer than float32; use precision 'auto', "
            "which chooses by the machine",
            stacklevel=3,
        )


def int8_instructions() -> str | None:
    """The instructions for exact sums of products of 8-bit integers that this CPU has.

    int8_instructions()      # "AVX512_VNNI", "AMX_INT8" or None
    """
    cpu: Any = torch.cpu
    flags = {"AMX_INT8": "_is_amx_tile_supported", "AVX512_VNNI": "_is_vnni_supported"}
    has = (name for name, flag in flags.items() if getattr(cpu, flag, lambda: False)())
    return next(has, None)
