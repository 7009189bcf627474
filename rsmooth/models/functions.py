"""A function of numpy arrays as base classifier: any framework, votes alone, no gradients."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Function = Callable[[NDArray[np.float32]], Any]

NO_HASH = "none"  # what a record says of a function whose content nobody stated


class FunctionClassifier(nn.Module):
    """A function of numpy arrays as a base classifier, which can be certified and not attacked.

        base = FunctionClassifier(lambda x: svm.predict(x.reshape(len(x), -1)), num_classes=10)
        g = SmoothedClassifier(base, sigma=0.25, num_classes=10)

    function: noisy images (B, C, H, W), float32 in pixel units and never clamped, so a little below
        0 and above 1 too -> classes (B,), integers from 0 on, or scores (B, K). It answers each
        image on its own, and the same image alike, or with fresh randomness in each call.
    num_classes: K.
    name: what records call it; by default the function's own name.
    sha256: hexadecimal digits that state its content, for records. Without it two functions of one
        name are the same to a journal, which then cannot refuse to go on with another one.

    Scores are logits. A class k is the logits 0 at k and -infinity elsewhere, so that G is the
    share of votes. It runs on the CPU, one batch per call. ValueError for another answer, TypeError
    where a gradient is asked for, or another precision than float32.
    """

    def __init__(
        self,
        function: Function,
        num_classes: int,
        *,
        name: str | None = None,
        sha256: str = NO_HASH,
    ) -> None:
        super().__init__()
        if not callable(function) or isinstance(function, nn.Module):
            raise TypeError(
                f"expected a function of a numpy array, got {type(function).__name__}; a module of "
                "torch is a base classifier itself: SmoothedClassifier(module, sigma=0.25, ...)"
            )
        self.function = function
        self.num_classes = num_classes
        own: str = getattr(function, "__qualname__", type(function).__qualname__)
        self.name: str = name or own
        self.sha256 = sha256

    def record(self) -> dict[str, str]:
        """What a record says of it."""
        return {"name": self.name, "sha256": self.sha256}

    def forward(self, x: Tensor) -> Tensor:
        if x.requires_grad and torch.is_grad_enabled():
            raise TypeError(
                f"expected a base classifier of torch where a gradient is asked for, got the "
                f"function {self.name}, which gives votes alone; attack it without gradients, or "
                "attack a torch model like it and judge the images by predict"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"expected precision='float32' for the function {self.name}, got {x.dtype}"
            )
        images = x.detach().to("cpu", torch.float32, memory_format=torch.contiguous_format)
        return self._logits(np.asarray(self.function(images.numpy())), len(x)).to(x.device)

    def _logits(self, answer: NDArray[Any], count: int) -> Tensor:
        if answer.dtype.kind == "f" and answer.shape == (count, self.num_classes):
            # No score is shortened: two that differ could become equal, and the class another one.
            wide = np.float64 if answer.dtype.itemsize > 4 else np.float32
            return torch.from_numpy(answer.astype(wide))
        if answer.dtype.kind not in "iu" or answer.shape != (count,):
            raise ValueError(
                f"expected classes ({count},) as integers, or scores ({count}, "
                f"{self.num_classes}) as floats, from the function {self.name}, got {answer.dtype} "
                f"{answer.shape}; check num_classes"
            )
        if count and not 0 <= int(answer.min()) <= int(answer.max()) < self.num_classes:
            raise ValueError(
                f"expected classes within 0..{self.num_classes - 1} from the function {self.name}, "
                f"got {answer.min()}..{answer.max()}; check num_classes"
            )
        logits = torch.full((count, self.num_classes), -torch.inf, device="cpu")
        return logits.scatter_(1, torch.from_numpy(answer.astype(np.int64))[:, None], 0.0)

    def check_portable(self) -> None:
        """ValueError unless another process can have the function."""
        try:
            pickle.dumps(self.function)
            own = getattr(self.function, "__module__", None) == "__main__"
        except Exception:  # whatever an object's own way of being pickled raises
            own = True
        if own:
            raise ValueError(
                f"expected a function that worker processes can import, got {self.name}; define it "
                "in a module, or use workers=1"
            )

    def extra_repr(self) -> str:
        return f"{self.name!r}, sha256={self.sha256!r}, num_classes={self.num_classes}"

    def __deepcopy__(self, memo: dict[int, Any]) -> FunctionClassifier:
        """It shares the function, which has no weights that a copy could change."""
        copy = FunctionClassifier(
            self.function, self.num_classes, name=self.name, sha256=self.sha256
        )
        return copy.train(self.training)


def function_of(base: nn.Module) -> FunctionClassifier | None:
    """The function in a base classifier, if there is one.

    function_of(g.base)
    """
    return next((part for part in base.modules() if isinstance(part, FunctionClassifier)), None)
