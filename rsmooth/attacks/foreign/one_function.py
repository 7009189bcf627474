"""A victim as attacks of other libraries ask it: one function, whatever images they hand over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from rsmooth.attacks.victim import Victim

# (model, images (N, C, H, W), labels (N,)) -> attacked images (N, C, H, W)
Search = Callable[["LogG", Tensor, Tensor], Tensor]


class OtherImagesError(RuntimeError):
    """A call with other images than the whole batch, where each image has noise of its own."""


class LogG(nn.Module):
    """log G of a victim: (N, C, H, W) -> (N, K), in the number format of the images.

        model = LogG(victim, x, "shared")

    x: the batch under attack.
    rows: what the rows of a call are. "shared": any images, since all are under one noise. "batch":
        all images of the batch, in its order, each under its own noise; OtherImagesError otherwise.
        A number: variations of the image at that place.
    by_count: take as many images as the batch has for the batch.

    It has no submodule: what a library does to the mode of its model reaches no classifier. The one
    parameter, frozen, tells libraries that ask for it the device and the number format.
    """

    def __init__(
        self,
        victim: Victim,
        x: Tensor,
        rows: Literal["shared", "batch"] | int,
        by_count: bool = False,
    ) -> None:
        super().__init__()
        self._victim = victim
        self._batch = x.detach()
        self._rows = rows
        self._by_count = by_count
        self.mismatched = False
        self.place = nn.Parameter(x.new_zeros(()), requires_grad=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            # The gradient of a model with channels last is so too, and libraries call view() on it.
            x = x.view_as(x)
            x.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
        if isinstance(self._rows, int):
            log_probs = self._victim.log_probs_anywhere(x, self._rows)
        elif self._is_batch(x.detach()):
            log_probs = self._victim.log_probs(x)
        elif self._rows == "shared":
            log_probs = self._victim.log_probs_anywhere(x)
        else:
            self.mismatched = True
            raise OtherImagesError(f"{len(x)} images that are not those of the batch")
        mean: Tensor = log_probs.logsumexp(dim=1) - math.log(log_probs.shape[1])
        return mean.to(x.dtype)

    def _is_batch(self, x: Tensor) -> bool:
        """Whether the rows are variations of the images of the batch, one each, in its order.

        As many variations of one image would look alike. So each row must be nearer to its own
        image than to any other. A search that wanders farther costs time, and no more: its images
        are then attacked one by one.
        """
        if len(x) != len(self._batch):
            return False
        if self._by_count:
            return True
        apart = torch.cdist(x.flatten(1).float(), self._batch.flatten(1).float())
        nearest = apart.amin(dim=1) * (1 + 1e-4) + 1e-6
        return not bool((apart.diagonal() > nearest).any())


def searched(
    victim: Victim, x: Tensor, y: Tensor, search: Search, *, by_count: bool = False
) -> Tensor:
    """The images (B, C, H, W) that a search of another library makes of x (B, C, H, W), y (B,).

        found = searched(victim, x, y, lambda model, x, y: torchattacks.PGDL2(model)(x, y))

    Where all images are under one noise, the search gets them all, and may ask about any of them in
    any order. Otherwise it gets them all if it evaluates all of them in every call. If it does not,
    such as AutoAttack, which goes on with the images that still stand, they are attacked one by
    one, each under its own noise. by_count: as of ``LogG``.
    """
    x = x.contiguous()  # with channels last, the view() of many an attack is an error
    if victim.one_function:
        return search(LogG(victim, x, "shared", by_count), x.clone(), y.clone())
    model = LogG(victim, x, "batch", by_count)
    try:
        found = search(model, x.clone(), y.clone())
    except Exception:
        if not model.mismatched:
            raise
    if not model.mismatched:
        return found
    return torch.cat(
        [
            search(LogG(victim, x, at), x[at : at + 1].clone(), y[at : at + 1].clone())
            for at in range(len(x))
        ]
    )
