"""Small classifiers in float64 for the tests of attacks: exact, smooth, or awkward on purpose."""

import dataclasses

import torch
from torch import nn

from rsmooth.attacks import GradientAttack
from rsmooth.smoothed import SmoothedClassifier


def smooth_net(shape=(3, 4, 4), classes=5, *, sigma=0.2, sharpness=1.0, seed=0):
    """A two-layer tanh network of a fixed seed: every gradient exists and none vanishes."""
    generator = torch.Generator().manual_seed(seed)
    pixels = shape[0] * shape[1] * shape[2]
    base = nn.Sequential(
        nn.Flatten(), nn.Linear(pixels, 16), nn.Tanh(), nn.Linear(16, classes)
    ).double()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * sharpness
            )
    return SmoothedClassifier(base, sigma, classes).eval()


def linear_net(shape=(3, 4, 4), classes=2, *, sigma=0.2, seed=0):
    """A linear classifier whose decision boundaries pass near the centre of the box."""
    generator = torch.Generator().manual_seed(seed)
    pixels = shape[0] * shape[1] * shape[2]
    base = nn.Sequential(nn.Flatten(), nn.Linear(pixels, classes)).double()
    with torch.no_grad():
        base[1].weight.copy_(
            torch.randn((classes, pixels), generator=generator, dtype=torch.float64)
        )
        base[1].bias.copy_(-base[1].weight.sum(dim=1) / 2)
    return SmoothedClassifier(base, sigma, classes).eval()


def images(batch, shape=(3, 4, 4), *, low=0.4, high=0.6, seed=1):
    """Uniform pixels of a range; away from 0 and 1 the box does not bind for small epsilon."""
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(
        (batch, *shape), generator=generator, dtype=torch.float64
    )


def base_labels(g, x):
    """What the base classifier says."""
    with torch.no_grad():
        return g.base(x).argmax(dim=1)


def draw(g, x, m, seed=2):
    """Noise for m copies from a seed."""
    return g.sample_noise(x, m, torch.Generator().manual_seed(seed))


def length(delta):
    """The l2 norm of each image."""
    return delta.flatten(1).norm(dim=1)


class Hole(nn.Module):
    """A base classifier that is constant, but NaN where the first pixel is above one half."""

    def forward(self, x):
        logits = torch.stack([x.sum(dim=(1, 2, 3)), torch.zeros_like(x[:, 0, 0, 0])], dim=1)
        return torch.where(x[:, :1, 0, 0] > 0.5, torch.nan, logits)


class Flat(nn.Module):
    """A base classifier whose gradient is zero everywhere."""

    def forward(self, x):
        return x.flatten(1)[:, :3] * 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe(GradientAttack):
    """Evaluates the image itself, hands the evaluation out, and perturbs nothing."""

    seen: list = dataclasses.field(default_factory=list)
    steps: int = 1

    def _search(self, evaluate, problem):
        self.seen.append(evaluate(problem.x))
        return torch.zeros_like(problem.x)


def probe(g, x, y, **options):
    """What an attack with these options learns at x."""
    call = {key: options.pop(key) for key in ("noise", "num_noise", "generator") if key in options}
    attack = Probe(epsilon=1.0, **options)
    attack(g, x, y, **call)
    return attack.seen[0]
