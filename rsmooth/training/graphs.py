"""Training steps recorded as CUDA graphs: the same kernels, all launched at once.

A step of a deep, narrow network is thousands of small kernels. To launch them one by one may take
the host longer than the GPU needs to run them. A recording is launched as a whole. It holds for one
kind of call: the shapes of the tensors, and the values of all else. Before each launch the tensors
are copied into its own.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

# Calls of a kind that are made as they are, while buffers, handles and choices of kernels form.
CALLS_BEFORE = 3
# Recordings at a time: whole and last batches, mini-batches of two sizes.
KEPT = 4


class Recorder(Protocol):
    """How calls are run and recorded: on a CUDA stream, or in a test without one."""

    def run(self, function: Callable[[], None]) -> None:
        """Call the function as it is."""

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        """Record the function's kernels without running them, and return what launches them."""


@dataclass(frozen=True)
class _Recording:
    inputs: tuple[Tensor, ...]
    launch: Callable[[], None]


class Replayed:
    """A function of tensors and constants that is recorded once a kind of call repeats.

    function: launches work on the device, does not wait for it, and returns nothing. It changes
        only tensors that keep their place, and does the same for the same arguments.
    recorder: None never records.
    """

    def __init__(self, function: Callable[..., None], recorder: Recorder | None) -> None:
        self._function = function
        self._recorder = recorder
        self._failed = self._recording = False
        self._calls: Counter[Any] = Counter()
        self._recordings: OrderedDict[Any, _Recording] = OrderedDict()

    def __call__(self, *tensors: Tensor, **constants: Any) -> None:
        """The function's work for these tensors; constants of one repr are of one kind."""
        if self._recorder is None:
            self._function(*tensors, **constants)
            return
        kind = (tuple((tensor.shape, tensor.dtype) for tensor in tensors), repr(constants))
        recording = self._recordings.get(kind) or self._new(
            kind, tensors, constants, self._recorder
        )
        if recording is None:
            self._recorder.run(lambda: self._function(*tensors, **constants))
            return
        self._recordings.move_to_end(kind)
        for own, tensor in zip(recording.inputs, tensors, strict=True):
            own.copy_(tensor)
        recording.launch()

    def give_up(self, reason: str) -> None:
        """Record nothing from now on; a recording under way fails with the reason."""
        if self._recorder is None or self._failed:
            return
        if self._recording:
            raise RuntimeError(reason)
        self._drop(reason)

    def _drop(self, reason: object) -> None:
        logger.warning("training goes on without CUDA graphs: %s", reason)
        self._failed = True
        self._recordings.clear()

    def _new(
        self, kind: Any, tensors: tuple[Tensor, ...], constants: dict[str, Any], recorder: Recorder
    ) -> _Recording | None:
        """A recording, if it is time for one and it can be made."""
        self._calls[kind] += 1
        if self._failed or self._calls[kind] <= CALLS_BEFORE:
            return None
        own = tuple(tensor.clone() for tensor in tensors)
        self._recording = True
        try:
            launch = recorder.record(lambda: self._function(*own, **constants))
        except RuntimeError as error:  # a layer or hook waits for the device, or too little memory
            self._drop(error)
            return None
        finally:
            self._recording = False
        if len(self._recordings) == KEPT:
            self._recordings.popitem(last=False)
        self._recordings[kind] = _Recording(own, launch)
        return self._recordings[kind]


class CudaRecorder:
    """Records on a stream of its own, and runs there what is not recorded.

    Autograd ties a backward pass to the stream of its forward pass. So both kinds of call have to
    share one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # A pool of memory for all recordings: they run one after the other and leave nothing.
        self._pool: Any = None

    def run(self, function: Callable[[], None]) -> None:
        with torch.cuda.device(self._device):
            here = torch.cuda.current_stream()
            self._stream.wait_stream(here)
            with torch.cuda.stream(self._stream):
                function()
            here.wait_stream(self._stream)

    def record(self, function: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        # "thread_local": a thread that pins memory for a DataLoader does not break the recording.
        with (
            torch.cuda.device(self._device),
            torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            function()
        self._pool = graph.pool()
        return graph.replay
