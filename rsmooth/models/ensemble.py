"""Ensembles: several classifiers that answer as one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, fx, nn

from rsmooth.models.nested import build_part, rebuilding
from rsmooth.plumbing.numbers import check_integer
from rsmooth.registry import MODELS

Scheme = Literal["mean-logits", "mean-probabilities"]
# Images that are asked about together where some members may be left out. A fixed number, so that
# the kernels and with them the last bits are the same whether or not they are.
TOGETHER = 64


@MODELS.register("ensemble")
def ensemble(
    members: Sequence[str | Mapping[str, Any]],
    num_classes: int | None = None,
    scheme: Scheme = "mean-logits",
    consensus: int | None = None,
    skip: bool = True,
) -> Ensemble:
    """Several classifiers that answer as one, by the mean of their logits (Horvath et al. 2022).

        base = MODELS.create("ensemble", members=["runs/seed0", "runs/seed1", "runs/seed2"])
        SmoothedClassifier(base, sigma=0.25, num_classes=10).save("ensemble.pt")

    members: run folders or files of trained classifiers, modules, registered names, or mappings of
        name and options. Saved ones must have the same noise. Of modules that are not from
        MODELS.create the ensemble cannot be saved.
    num_classes: of members that are built anew.
    scheme: "mean-logits", or "mean-probabilities".
    consensus: K of K-consensus: where the first K members name one class, the answer is the mean of
        these alone. Of "mean-logits" only.
    skip: whether the other members are then not asked, where no gradient is wanted on a CPU. The
        answers are the same, bit for bit.

    The mean of all logits has deterministic bounds where its members have. arXiv:2106.06946, eq. 2
    and section 5. ValueError for members that do not fit together.
    """
    if isinstance(members, str) or not isinstance(members, Sequence):
        raise ValueError(
            f"expected members as a list, got {members!r}; give e.g. ['runs/seed0', 'runs/seed1']"
        )
    built = [build_part(member, num_classes=num_classes) for member in members]
    noises = [noise for _, noise in built if noise is not None]
    if any(noise != noises[0] for noise in noises):
        raise ValueError(
            f"expected members that were trained with the same noise, got {noises}; choose others"
        )
    model = Ensemble([module for module, _ in built], scheme, consensus, skip=skip)
    options = {"num_classes": num_classes, "scheme": scheme, "consensus": consensus, "skip": skip}
    model.plain_options = rebuilding({"members": model.members}, **options)
    return model


class Ensemble(nn.Module):
    """The members' joint answer: images (N, C, H, W) in [0, 1] -> logits (N, K).

    Ensemble([first, second, third], consensus=2)

    Options and errors are those of ``ensemble``. Each member brings its own normalisation.
    """

    plain_options: dict[str, Any] | None

    def __init__(
        self,
        members: Sequence[nn.Module],
        scheme: Scheme = "mean-logits",
        consensus: int | None = None,
        *,
        skip: bool = True,
    ) -> None:
        super().__init__()
        if not members:
            raise ValueError("expected members of the ensemble, got none; name at least one")
        if scheme not in get_args(Scheme):
            raise ValueError(f"expected scheme among {', '.join(get_args(Scheme))}, got {scheme!r}")
        if consensus is not None and (
            not 1 <= check_integer(consensus, "consensus", 2) <= len(members)
            or scheme != "mean-logits"
        ):
            raise ValueError(
                f"expected consensus within 1..{len(members)} and the scheme mean-logits, got "
                f"{consensus} and {scheme!r}"
            )
        self.members = nn.ModuleList(members)
        self.scheme, self.consensus, self.skip = scheme, consensus, skip

    def extra_repr(self) -> str:
        return f"scheme={self.scheme!r}, consensus={self.consensus}"

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(x, fx.Proxy):  # type: ignore[unreachable]
            return self._in_known_steps(x)  # type: ignore[unreachable]
        if self.consensus is None:
            return self._joint(_stacked([member(x) for member in self.members]))
        parts = [self._by_consensus(part, self.consensus) for part in torch.split(x, TOGETHER)]
        return torch.cat(parts)

    def _in_known_steps(self, x: fx.Proxy) -> fx.Proxy:
        """The mean of logits as sums and a factor, whose bounds are known."""
        if self.consensus is not None or self.scheme != "mean-logits":
            raise ValueError(
                "expected the mean of logits of all members, got "
                f"scheme={self.scheme!r}, consensus={self.consensus}"
            )
        total: Any = self.members[0](x)
        for member in self.members[1:]:
            total = total + member(x)
        mean: fx.Proxy = total / len(self.members)
        return mean

    def _by_consensus(self, x: Tensor, first: int) -> Tensor:
        """The first members where they agree, all elsewhere."""
        asked = [member(x) for member in self.members[:first]]
        early = _stacked(asked)
        votes = early.argmax(dim=2)
        agreed = (votes == votes[0]).all(dim=0)
        if first == len(self.members) or (self._may_skip(x) and bool(agreed.all())):
            return early.mean(dim=0)
        everyone = _stacked(asked + [member(x) for member in self.members[first:]])
        return torch.where(agreed.unsqueeze(1), early.mean(dim=0), everyone.mean(dim=0))

    def _may_skip(self, x: Tensor) -> bool:
        """Whether to look at the votes; a GPU or a compiler would have to wait for them."""
        looking = x.device.type == "cpu" and not torch.compiler.is_compiling()
        return self.skip and looking and not self.training and not torch.is_grad_enabled()

    def _joint(self, logits: Tensor) -> Tensor:
        if self.scheme == "mean-logits":
            return logits.mean(dim=0)
        return logits.log_softmax(dim=2).logsumexp(dim=0) - math.log(len(self.members))


def _stacked(logits: Sequence[Tensor]) -> Tensor:
    """The logits (N, K) of E members as (E, N, K)."""
    shapes = {tuple(own.shape) for own in logits}
    if len(shapes) > 1:
        raise ValueError(f"expected members of the same classes, got logits {sorted(shapes)}")
    return torch.stack(list(logits))
