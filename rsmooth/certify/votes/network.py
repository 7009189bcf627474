"""The base classifier as its profile says: noisy images in, votes out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rsmooth.bounds.rounding import exact_products
from rsmooth.certify.votes.profile import Profile
from rsmooth.models.folding import FoldedConv2d, fold_batchnorm
from rsmooth.models.functions import function_of
from rsmooth.models.int8.network import DTYPE, Int8Network, operations_of
from rsmooth.models.memory import channels_last
from rsmooth.models.operations import counted_operations
from rsmooth.models.state import copied
from rsmooth.plumbing.shared import SharedSetting
from rsmooth.smoothed import SmoothedClassifier, check_logits


class FixedBatchNetwork:
    """The base classifier from noisy images (batch, C, H, W) to votes (batch,) int64.

        FixedBatchNetwork(g, profile)(points)

    A vote is the class, or num_classes where there is no largest finite logit: one is NaN or
    +infinity, or all are -infinity. -infinity in some classes masks these. Equal logits give the
    lowest class. The batch size never changes, because kernels may depend on it, and with them the
    last bits of the logits. ValueError where the base classifier does not return
    (batch, num_classes).
    """

    @torch.inference_mode(False)
    def __init__(self, g: SmoothedClassifier, profile: Profile) -> None:
        _check_function(g, profile)
        self.profile = profile
        self.batch = profile.batch
        self.num_classes = g.num_classes
        self.device = torch.device(profile.device)
        # Integers round the images themselves.
        named = "float32" if profile.dtype == DTYPE else profile.dtype
        self._dtype: torch.dtype = getattr(torch, named)
        net = fold_batchnorm(g.base).to(self.device, self._dtype)
        net = channels_last(net)
        self._net: Callable[[Tensor], Tensor] = net
        if profile.compiled == "inductor":
            self._net = torch.compile(
                net,
                dynamic=False,
                options={"freezing": True, "triton.cudagraphs": self.device.type == "cuda"},
            )
        elif profile.compiled == "cuda-graph":
            self._net = _CudaGraph(net)

    @torch.inference_mode(False)
    @torch.no_grad()
    def __call__(self, points: Tensor) -> Tensor:
        with _as_recorded(self.device):
            logits = self._net(points.to(self._dtype, memory_format=torch.channels_last))
        logits = check_logits(logits, self.batch, self.num_classes)
        finite = torch.isfinite(logits.amax(dim=1))  # NaN is the largest of all
        votes: Tensor = torch.where(finite, logits.argmax(dim=1), self.num_classes)
        return votes


def _check_function(g: SmoothedClassifier, profile: Profile) -> None:
    """ValueError for a function of numpy arrays that is to run otherwise than it does."""
    function = function_of(g.base)
    if function is not None and (profile.compiled != "no" or profile.dtype != "float32"):
        raise ValueError(
            f"expected compile='never' and precision='float32' for the function {function.name}, "
            f"got {profile.compiled} and {profile.dtype}; leave them out"
        )


_benchmark = SharedSetting(torch.backends.cudnn, "benchmark", False)


@contextmanager
def _as_recorded(device: torch.device) -> Iterator[None]:
    """Without the caller's autocast, and without choosing convolution kernels by timing.

    Autocast would mean another dtype than the recorded one. Timing would make the last bits of the
    logits a matter of chance.
    """
    with _benchmark.held(), torch.autocast(device.type, enabled=False):
        yield


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


# Copies of an image in a pass, and passes, that show whether a pass has one draw for all of them.
TWINS, PASSES = 16, 32
# So many times the variance between passes may exceed that of independent draws. With the degrees
# of freedom above, the F distribution is there in one case of 10^15.
VARIANCE_RATIO = 6.0


@torch.inference_mode(False)
@torch.no_grad()
def check_images_apart(
    g: SmoothedClassifier, shape: torch.Size, batch: int = 2, *, warn: bool = False
) -> float:
    """Floating-point operations per noisy image; ValueError where images of a batch are mixed.

        operations = check_images_apart(g, torch.Size((3, 32, 32)), batch=128)

    batch: the size of a pass, for a base classifier that takes no other.
    warn: whether a network that draws at random is warned of.

    Batch statistics mix images: the answer to one image changes with another image in the batch. So
    does a recurrent layer that takes the batch for a sequence, of the images behind the first one.
    Votes of such a network belong to no function of the image, and a certificate would be about
    nothing. Randomness in a network passes where each image has draws of its own: its votes are
    then as independent as the noise. With one draw for all images of a pass they are not, and the
    bounds on a vote share do not hold. A forward that folded batch norms would change is refused,
    too. The check runs once, on a few images of random pixels: what mixes or draws in rare cases
    alone may pass it. It uses the dtype and the device of the model's own parameters, whatever the
    profile executes.
    """
    net = fold_batchnorm(g.base)
    points = _random_points(net, shape)

    def answers(rows: list[int]) -> Tensor:
        return check_logits(net(points[rows]), len(rows), g.num_classes).nan_to_num()

    count, first = _first_answers(answers, batch)
    beside, other = _rows(1, count), _rows(2, count)
    again = answers(beside)
    with counted_operations() as operations:
        answers(other)
    random = not torch.equal(first, again)
    if not random:
        _check_folded(g.base, net, points[beside])
    if _mixed(answers, (beside, other), points.device):
        raise ValueError(
            "expected a base classifier that answers each image on its own, got one whose answer "
            "changes with the other images of a batch; look for batch norm without running "
            "statistics, and for layers that take the batch for a sequence"
        )
    if not random and beside[-1] == 0 and not _alike(first[0], first[-1]):
        raise ValueError(
            "expected a base classifier that answers an image alike wherever it is in a batch, got "
            "another answer at the end; look for layers that take the batch for a sequence"
        )
    if random and batch > 1 and _draws_once(answers, TWINS if count == ROWS else count):
        raise ValueError(
            "expected a base classifier that draws its randomness for each image, got one that "
            "draws once for all images of a batch, so that votes are not independent; draw per "
            "image, or take batch_size=1"
        )
    if warn and random and not _alike(first, again):  # sums in another order are alike
        warnings.warn(_RANDOM, stacklevel=2)
    return operations_of(net) if isinstance(net, Int8Network) else operations.total / count


_RANDOM = (
    "expected a base classifier that answers an image alike at every call, got one that draws at "
    "random. Its certificates hold for the classifier with its draws, but another call counts "
    "other votes, whatever the seed; if that is not meant, look for a dropout that eval() does not "
    "turn off, such as torch.nn.functional.dropout without training=self.training"
)


def _random_points(net: nn.Module, shape: torch.Size) -> Tensor:
    """Three images (3, *shape) in the dtype and on the device of the network's parameters."""
    generator = torch.Generator().manual_seed(0)
    points = torch.rand((3, *shape), generator=generator, device="cpu")
    parameter = next(net.parameters(), points)
    return points.to(parameter.device, parameter.dtype)


ROWS = 3
"""Images of a pass that shows whether they are mixed: one between two copies of another."""


def _rows(between: int, count: int) -> list[int]:
    """The images of a pass: the first one at both ends, where there is room, and another."""
    return [0, *[between] * (count - 2), 0] if count > 2 else [0, between][:count]


def _first_answers(answers: Callable[[list[int]], Tensor], batch: int) -> tuple[int, Tensor]:
    """The images of a pass that the network takes, three or ``batch``, and the answers."""
    try:
        return ROWS, answers(_rows(1, ROWS))
    # From a model that was exported for one batch size. If it is broken, it fails again.
    except Exception:
        return batch, answers(_rows(1, batch))


def _mixed(
    answers: Callable[[list[int]], Tensor], passes: Sequence[list[int]], device: torch.device
) -> bool:
    """Whether the answer to the image at either end changes with the images between.

    Where the same draws give the same pass twice: a network with a generator of its own may not.
    """
    one, same, other = _by_the_same_draws(answers, (passes[0], *passes), device)
    ends = [0, -1] if passes[0][-1] == 0 else [0]
    return torch.equal(one, same) and any(not torch.equal(one[at], other[at]) for at in ends)


def _alike(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are equal up to what kernels make of another place in a batch."""
    if not one.is_floating_point():
        return torch.equal(one, other)
    reach = torch.maximum(one.abs(), other.abs()).amax()
    return bool(((one - other).abs() <= 30 * torch.finfo(one.dtype).eps ** 0.5 * reach).all())


def _check_folded(base: nn.Module, folded: nn.Module, points: Tensor) -> None:
    """ValueError where the folding of batch norms has changed the answer to the first point.

    A forward that torch.fx cannot follow may read inner layers of a part that was folded.
    """
    if not any(isinstance(layer, FoldedConv2d) for layer in folded.modules()):
        return
    with exact_products():  # TF32 may differ by more than what is looked for
        found, wanted = folded(points)[0], copied(base).eval()(points)[0]
    known = wanted.isfinite()
    reach = wanted[known].abs().amax() if bool(known.any()) else wanted.new_zeros(())
    close = 30 * torch.finfo(points.dtype).eps ** 0.5 * reach
    if not bool(((found - wanted)[known].abs() <= close).all()):
        raise ValueError(
            "expected a forward that folded batch norms leave as it is, got one that torch.fx "
            "cannot follow and that reads inner layers of its parts; write it without branches "
            "that depend on the images, or call its parts as a whole"
        )


def _by_the_same_draws(
    answers: Callable[[list[int]], Tensor], batches: Sequence[list[int]], device: torch.device
) -> list[Tensor]:
    """The answers to each batch, where torch's generator begins anew."""
    found = []
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        for rows in batches:
            torch.manual_seed(0)
            found.append(answers(rows))
    return found


def _draws_once(answers: Callable[[list[int]], Tensor], copies: int) -> bool:
    """Whether the answers to copies of an image go together in a pass.

    By the variance of the means of passes, beside that of independent draws (one-way analysis of
    variance). Answers that are the same in all passes have none.
    """
    passes = torch.stack([answers([0] * copies) for _ in range(PASSES)]).double()
    between = copies * passes.mean(dim=1).var(dim=0)
    within = passes.var(dim=1).mean(dim=0)
    # What kernels make of another place in a batch is no draw.
    rounding = (1e-4 * passes.abs().amax(dim=(0, 1)) + 1e-6) ** 2
    return bool((between > VARIANCE_RATIO * within + copies * rounding).any())
