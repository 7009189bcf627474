"""Margins that are proved: they hold with the rounding error of their own computation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from rsmooth.bounds.interval import interval_bounds, pixel_box
from rsmooth.bounds.layers import MaxPool
from rsmooth.bounds.margins import check_epsilon
from rsmooth.bounds.methods import Method
from rsmooth.bounds.passes import MEMORY, Bounds, count_multiply_adds, count_rows
from rsmooth.bounds.rounding import LARGEST, exact_products
from rsmooth.bounds.tracing import trace_network
from rsmooth.models.state import device_of
from rsmooth.plumbing.tensors import channels_taken, check_images, check_labels

# Images whose answers are compared with their bounds at once, at most: each takes memory.
AT_ONCE = 16
# How far from the images network and graph are compared, beside at the images themselves.
STEPS = (1 / 255, 8 / 255, 0.1, 0.5)


class Prover:
    """Proved margins of one network.

        prover = Prover(net)
        prover.margins(x, prover.predict(x), 2 / 255, "crown-ibp")      # (B, K)

    net: (B, C, H, W) -> logits (B, K), as ``trace_network`` takes it. A copy is used, in eval mode
        and float64, on the same device.
    clip, memory: as of ``margin_bounds``.

    What is proved is about the network in exact arithmetic on its float weights, batch norm by its
    running statistics: not about what float32 kernels make of it. ``rsmooth.bounds.rounding`` says
    how. ValueError for weights that are not finite or beyond 1e30, and as of ``trace_network``.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        clip: tuple[float, float] | None = (0.0, 1.0),
        memory: int = MEMORY,
    ) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False).double()
        self.clip, self.memory = clip, memory
        for name, tensor in self.net.state_dict().items():
            if not bool((tensor.abs() <= LARGEST).all()):  # also catches NaN
                raise ValueError(
                    f"expected finite weights of at most {LARGEST:g}, got others in {name}; has "
                    "training diverged?"
                )
        self.device = device_of(self.net)
        self._compared: set[torch.Size] = set()  # shapes of images around which all was as it is
        self.graph = trace_network(self.net).fixed()

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The classes (B,) of images (B, C, H, W), in float64; the first of equal logits.

        ValueError for logits that are not finite, or that the bounds at the images do not hold; at
        the first call also at some points around the first image.
        """
        with exact_products():
            # A copy: a first step in place must not write over the images.
            logits: Tensor = self.net(x.to(self.device, torch.float64, copy=True))
        if logits.ndim != 2 or not bool(logits.isfinite().all()):
            raise ValueError(
                f"expected finite logits (B, K) from the network, got {tuple(logits.shape)} with "
                f"values up to {float(logits.abs().max())}; has training diverged?"
            )
        for images, answers in zip(
            torch.split(x, AT_ONCE), torch.split(logits, AT_ONCE), strict=True
        ):
            self._check_followed(images, answers)
        if len(x) and x.shape[1:] not in self._compared:
            self._check_around(x[:1])
            self._compared.add(x.shape[1:])
        return logits.argmax(dim=1)

    def _check_around(self, x: Tensor) -> None:
        """``_check_followed`` in random directions from an image, and at random images.

        A forward may do something else elsewhere, such as what torch.fx does not see of a branch.
        """
        draw = torch.Generator().manual_seed(0)
        x = x.to(self.device, torch.float64)
        signs = torch.randint(0, 2, (2, *x.shape[1:]), generator=draw, device="cpu") * 2.0 - 1.0
        signs = torch.cat([signs, -signs]).to(x)
        pixels = torch.rand((AT_ONCE, *x.shape[1:]), generator=draw, device="cpu").to(x)
        for points in (*((x + step * signs) for step in STEPS), pixels):
            with exact_products():
                self._check_followed(points, self.net(points.clone()))

    def _check_followed(self, x: Tensor, logits: Tensor) -> None:
        """ValueError for logits outside of their bounds at the images themselves.

        Then the network does what its graph does not show, and the bounds are those of another.
        """
        with exact_products():
            box = pixel_box(x.to(self.device, torch.float64), 0.0, None, rounding=True)
            known = interval_bounds(self.graph, box, rounding=2.0)[-1]
        if known.shape != logits.shape or bool(
            ((logits < known.lower) | (logits > known.upper)).any()  # NaN, from overflow, is not
        ):
            raise ValueError(
                f"expected layers that compute what {type(self.net).__name__} does, got another "
                "answer; its forward does more than torch.fx shows: write it plainly"
            )

    @torch.no_grad()
    def margins(self, x: Tensor, y: Tensor, epsilon: float | Tensor, method: Method) -> Tensor:
        """Proved lower bounds (B, K) of z_y - z_k over the l_inf box of epsilon; 0 at k = y.

        crown and fast-lin are cut with intervals, which is sound and at least as tight. NaN where
        the computation overflows: compare with ``> 0``, which is then false. Errors as of
        ``margin_bounds``.
        """
        check_images(x, channels=channels_taken(self.net))
        check_epsilon(epsilon)
        with exact_products():
            bounds = self.bounds(x, epsilon)
            y = check_labels(y, len(x), bounds.intervals[-1].shape[1]).to(self.device)
            found = bounds.margins(y, method, intersect=True)
        return found.scatter(1, y.unsqueeze(1), 0.0)

    @torch.no_grad()
    def certain_margins(self, x: Tensor, y: Tensor, epsilon: float, radius: float) -> Tensor:
        """Lower bounds (B, K) of what ``margins(x', y, epsilon, "ibp")`` gives near x.

        x': any image within ``radius`` of x. So a margin > 0 says that intervals prove y at every
        such x'. The box of x' lies in that of epsilon + radius around x, and intervals of a smaller
        box lie within those of a larger one; backward passes have no such property. Let P_s be
        intervals with the rounding error taken off s times, themselves in exact arithmetic. They
        keep inclusion. Floats are off by at most one more such error: what is computed at x' is at
        least P_2 there, hence at least P_2 of the large box; and with s = 3 it is at most that.
        """
        with exact_products():
            y = y.to(self.device)
            # Beyond the rounding of the smaller box, whose ends are within a few floats of 1.
            bounds = self.bounds(x, (epsilon + radius) * (1 + 1e-12) + 1e-12, rounding=3.0)
            found = bounds.margins(y, "ibp")
        return found.scatter(1, y.unsqueeze(1), 0.0)

    def bounds(self, x: Tensor, epsilon: float | Tensor, *, rounding: float = 1.0) -> Bounds:
        """The bounds over the box of epsilon, with their rounding errors."""
        if isinstance(epsilon, Tensor):
            epsilon = epsilon.to(self.device, torch.float64)
        x = x.to(self.device, torch.float64)
        box = pixel_box(x, epsilon, self.clip, rounding=True)
        return Bounds(self.graph, box, memory=self.memory, rounding=rounding)

    def cost(self, shape: tuple[int, ...], method: Method) -> float:
        """Multiply-adds that a method takes per image (C, H, W), at most.

        ValueError for a method that cannot bound this network, and for images that do not fit it.
        """
        with torch.no_grad(), exact_products():
            once = count_multiply_adds(self._bounds_of(shape))
        return float(self.rows(shape, method) * once)

    def rows(self, shape: tuple[int, ...], method: Method) -> int:
        """Rows that a method carries back per image (C, H, W), at most; errors as of ``cost``."""
        with torch.no_grad(), exact_products():
            return count_rows(self._bounds_of(shape), method)

    def classes(self, shape: tuple[int, ...]) -> int:
        """The number of logits for images (C, H, W); ValueError for images that do not fit it."""
        with torch.no_grad(), exact_products():
            return self._bounds_of(shape).intervals[-1].shape[1]

    def _bounds_of(self, shape: tuple[int, ...]) -> Bounds:
        """Of one black image (C, H, W), which the network takes."""
        x = torch.zeros(1, *shape, device="cpu")
        try:
            self.predict(x)
        except RuntimeError as error:
            raise ValueError(
                f"expected images that fit the network, got (C, H, W) = {tuple(shape)}, of which "
                f"it says: {error}"
            ) from error
        return self.bounds(x, 0.0)

    @property
    def intervals_only(self) -> bool:
        """Whether no method but ibp can bound the network, since it has max pooling."""
        return any(isinstance(node.op, MaxPool) for node in self.graph.nodes)


def smallest_margin(margins: Tensor, y: Tensor) -> Tensor:
    """The smallest margin (B,) over the other classes; proved if it is > 0.

        smallest_margin(prover.margins(x, y, 2 / 255, "ibp"), y) > 0

    margins: (B, K), as of ``Prover.margins``. y: labels (B,).
    """
    return margins.scatter(1, y.unsqueeze(1), torch.inf).amin(dim=1)
