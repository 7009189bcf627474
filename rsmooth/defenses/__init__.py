"""Training: Gaussian augmentation, SmoothAdv and its variants, and the engine they share.

Importing this package registers the trainers in ``rsmooth.registry.TRAINERS``.
"""

from rsmooth.defenses.base import Trainer
from rsmooth.defenses.guards import TrainingCollapsed
from rsmooth.defenses.variants import (
    GaussianAugmentation,
    NoiseThenPerturb,
    PerturbBesideNoise,
    PerturbThenNoise,
    SmoothAdv,
)

__all__ = [
    "GaussianAugmentation",
    "NoiseThenPerturb",
    "PerturbBesideNoise",
    "PerturbThenNoise",
    "SmoothAdv",
    "Trainer",
    "TrainingCollapsed",
]
