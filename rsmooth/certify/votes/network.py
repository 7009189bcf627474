"""The base classifier as it is executed: one dtype, layout and batch size for a whole run.

In floating point, each of these choices makes another function of the same network. A certificate
is about the function that was executed. So the profile is chosen once and recorded. A resumed run
takes it from the record.
"""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from rsmooth.certify.settings import Execution
from rsmooth.models.folding import fold_batchnorm
from rsmooth.smoothed import SmoothedClassifier

logger = logging.getLogger(__name__)

# A second candidate is timed where the run would take longer than this in plain float32.
PROBE_WORTH_SECONDS = 10.0
# The network is compiled (5 to 30 s) where the best candidate would take longer than this.
COMPILE_WORTH_SECONDS = 60.0
# A smaller gain may be chance, since only a few passes are timed.
GAIN_NEEDED = 1.1


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


class FixedBatchNetwork:
    """The base classifier from noisy images (batch, C, H, W) to votes (batch,) int64.

        FixedBatchNetwork(g, profile)(points)

    A vote is the class, or num_classes for logits that are not finite. Equal logits give the lowest
    class. The batch size never changes, because kernels may depend on it, and with them the last
    bits of the logits. ValueError where the base classifier does not return (batch, num_classes).
    """

    def __init__(self, g: SmoothedClassifier, profile: Profile) -> None:
        self.profile = profile
        self.batch = profile.batch
        self.num_classes = g.num_classes
        self.device = torch.device(profile.device)
        self._dtype: torch.dtype = getattr(torch, profile.dtype)
        net = fold_batchnorm(g.base).to(self.device, self._dtype)
        net = net.to(memory_format=torch.channels_last)
        self._net: Callable[[Tensor], Tensor] = net
        if profile.compiled == "inductor":
            self._net = torch.compile(
                net,
                dynamic=False,
                options={"freezing": True, "triton.cudagraphs": self.device.type == "cuda"},
            )
        elif profile.compiled == "cuda-graph":
            self._net = _CudaGraph(net)

    @torch.no_grad()
    def __call__(self, points: Tensor) -> Tensor:
        with _as_recorded(self.device):
            logits = self._net(points.to(self._dtype, memory_format=torch.channels_last))
        if logits.shape != (self.batch, self.num_classes):
            raise ValueError(
                f"expected logits ({self.batch}, {self.num_classes}) from the base classifier, "
                f"got {tuple(logits.shape)}; check num_classes"
            )
        finite = torch.isfinite(logits).all(dim=1)
        votes: Tensor = torch.where(finite, logits.argmax(dim=1), self.num_classes)
        return votes


@contextmanager
def _as_recorded(device: torch.device) -> Iterator[None]:
    """Without the caller's autocast, and without choosing convolution kernels by timing.

    Autocast would mean another dtype than the recorded one. Timing would make the last bits of the
    logits a matter of chance.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        torch.backends.cudnn.benchmark = before


class _CudaGraph:
    """A module's forward on inputs of one shape, captured at the first call and replayed later."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input: Tensor
        self._output: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        if self._graph is None:
            self._capture(points)
            assert self._graph is not None
        self._input.copy_(points)
        self._graph.replay()
        return self._output

    def _capture(self, points: Tensor) -> None:
        self._input = points.clone()
        with torch.cuda.device(points.device):  # streams and graphs belong to the current one
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                # Memory and library handles must exist before the capture.
                for _ in range(3):
                    self._net(self._input)
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                self._output = self._net(self._input)
        self._graph = graph


@torch.no_grad()
def check_images_apart(g: SmoothedClassifier, shape: torch.Size) -> None:
    """ValueError where the answer to one image changes with another image in the batch.

    Batch statistics do that. Votes of such a network belong to no function of the image, and a
    certificate would be about nothing. Randomness in a network passes: its votes are as independent
    as the noise. The check runs once, on three images of random pixels. It uses the dtype and the
    device of the model's own parameters, whatever the profile executes.
    """
    net = fold_batchnorm(g.base)
    parameter = next(net.parameters(), None)
    points = torch.rand((3, *shape), generator=torch.Generator().manual_seed(0))
    if parameter is not None:
        points = points.to(parameter.device, parameter.dtype)
    first = net(points[[0, 1]])[0].nan_to_num()
    again = net(points[[0, 1]])[0].nan_to_num()
    beside = net(points[[0, 2]])[0].nan_to_num()
    if torch.equal(first, again) and not torch.equal(first, beside):
        raise ValueError(
            "expected a base classifier that answers each image on its own, got one whose answer "
            "changes with the other images of a batch; look for batch norm without running "
            "statistics"
        )


def choose_network(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, samples: float
) -> FixedBatchNetwork:
    """The network for a run of about ``samples`` noisy images (C, H, W) = ``shape``.

        choose_network(g, torch.Size((3, 32, 32)), CertifySettings(), samples=1e6)

    A short run takes float32, unless the settings say otherwise, so that every bit can be repeated.
    A long run with precision="auto" or compile="auto" times the candidates on this device and takes
    the fastest.
    """
    base = _plain_profile(g, shape, settings)
    network = FixedBatchNetwork(g, base)
    if settings.precision == "auto" or settings.compile != "never":
        probe = _Probe(g, shape, samples, network)
        if (
            settings.precision == "auto"
            and probe.forecast > PROBE_WORTH_SECONDS
            and _has_fast_bfloat16(base.device)
        ):
            probe.consider(replace(base, dtype="bfloat16"))
        if settings.compile == "always" or (
            settings.compile == "auto" and probe.forecast > COMPILE_WORTH_SECONDS
        ):
            probe.consider(
                replace(probe.best.profile, compiled="inductor"),
                needed=settings.compile == "always",
            )
            if base.device.startswith("cuda") and probe.best.profile.compiled == "no":
                probe.consider(replace(probe.best.profile, compiled="cuda-graph"))
        network = probe.best
    return network


class _Probe:
    """Candidates timed against each other."""

    def __init__(
        self, g: SmoothedClassifier, shape: torch.Size, samples: float, first: FixedBatchNetwork
    ) -> None:
        self._g, self._shape, self._samples = g, shape, samples
        self.best = first
        self._seconds = pass_seconds(first, shape)

    @property
    def forecast(self) -> float:
        """Seconds that the run would take with the best candidate so far."""
        return self._seconds * self._samples / self.best.batch

    def consider(self, profile: Profile, needed: bool = False) -> None:
        """Take the candidate if it runs, and if it is faster or ``needed``."""
        try:
            candidate = FixedBatchNetwork(self._g, profile)
            seconds = pass_seconds(candidate, self._shape)
        # a missing compiler, a layer without this dtype, too little memory: all mean no
        except Exception as error:
            if needed:
                raise
            logger.info("passing over %s: %s", profile, error)
            return
        if needed or seconds * GAIN_NEEDED < self._seconds:
            self.best, self._seconds = candidate, seconds


def pass_seconds(network: FixedBatchNetwork, shape: torch.Size) -> float:
    """Seconds per pass over images (C, H, W) = ``shape``: the least of three.

    A first pass is not counted.
    """
    points = torch.rand((network.batch, *shape), generator=torch.Generator().manual_seed(0)).to(
        network.device
    )
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        network(points).cpu()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def recall_profile(
    g: SmoothedClassifier, shape: torch.Size, settings: Execution, recorded: Profile
) -> Profile:
    """The profile of a run that continues: by its settings, or by the record where they are open.

    Where it differs from the record, the journal refuses the run.
    """
    here = _plain_profile(g, shape, settings)
    return replace(
        here,
        dtype=recorded.dtype if settings.precision == "auto" else here.dtype,
        batch=settings.batch_size or recorded.batch,
        compiled=recorded.compiled if settings.compile == "auto" else here.compiled,
    )


def _plain_profile(g: SmoothedClassifier, shape: torch.Size, settings: Execution) -> Profile:
    parameter = next(g.base.parameters(), None)
    device = torch.device(settings.device or (parameter.device if parameter is not None else "cpu"))
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


def _has_fast_bfloat16(device: str) -> bool:
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
