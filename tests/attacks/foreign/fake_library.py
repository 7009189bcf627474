"""A library of attacks that does what real ones do, and what they had better not do."""

import random
import sys

import numpy as np
import torch
from torch.nn.functional import cross_entropy


class FGM:
    """A step of length eps along the gradient, of the whole batch at once."""

    def __init__(self, model, eps=0.3, part=1.0, norm="L2", seed=0):
        self.model, self.length = model, eps * part

    def __call__(self, x, y):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(self.model(x), y, reduction="sum"), x)
        unit = gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        return (x + self.length * unit).clamp(0, 1)


class OneByOne(FGM):
    """The same, image by image."""

    def __call__(self, x, y):
        step = super().__call__
        return torch.cat([step(x[i : i + 1].detach(), y[i : i + 1]) for i in range(len(x))])


class Backwards(FGM):
    """The same on the images in reverse: as many as the batch has, and not in its order."""

    def __call__(self, x, y):
        return super().__call__(x.flip(0), y.flip(0)).flip(0)


class Beyond(FGM):
    """It leaves the ball."""

    def __call__(self, x, y):
        return x + 2 * (super().__call__(x, y) - x)


class Rounded(FGM):
    """It misses epsilon by the rounding of its own computation."""

    def __call__(self, x, y):
        return x + (1 + 3e-5) * (super().__call__(x, y) - x)


class Smallest(FGM):
    """It knows no epsilon."""

    def __init__(self, model, steps=1):
        super().__init__(model, eps=float(steps))


class Nothing(FGM):
    """It has found nothing for the first image, and says so by NaN."""

    def __call__(self, x, y):
        found = super().__call__(x, y).detach()
        found[0] = torch.nan
        return found


class Draws(FGM):
    """A random start from all three sources."""

    def __call__(self, x, y):
        away = torch.randn_like(x) + float(np.random.rand()) + random.random()  # noqa: NPY002
        return x + self.length * away / away.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


class Leaky(FGM):
    """It leaves the process as it liked it."""

    def __call__(self, x, y):
        found = super().__call__(x, y).detach()
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002
        random.seed(1)
        np.seterr(all="raise")
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = True
        sys.settrace(lambda *_: None)
        self.model.train()
        for own in self.model.parameters():
            own.requires_grad_(True)
        x.detach().add_(5)
        y.zero_()
        return found


class Broken(FGM):
    """It fails in words that say nothing to its user."""

    def __call__(self, x, y):
        raise IndexError("index -4 is out of bounds")


class Spatial(FGM):
    """An attack without a norm."""
