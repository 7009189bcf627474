"""Training: Gaussian augmentation, SmoothAdv and its variants, and the engine they share.

Importing this package registers the trainers in ``rsmooth.registry.TRAINERS``.
"""

from rsmooth.defenses.base import Trainer
from rsmooth.defenses.consistency import Consistency
from rsmooth.defenses.guards import TrainingCollapsed
from rsmooth.defenses.presets import preset, presets
from rsmooth.defenses.pretrain import init_from
from rsmooth.defenses.run import History
from rsmooth.defenses.selftrain import PseudoLabels, pseudo_label
from rsmooth.defenses.stability import Stability
from rsmooth.defenses.variants import (
    GaussianAugmentation,
    NoiseThenPerturb,
    PerturbBesideNoise,
    PerturbThenNoise,
    SmoothAdv,
)

__all__ = [
    "Consistency",
    "GaussianAugmentation",
    "History",
    "NoiseThenPerturb",
    "PerturbBesideNoise",
    "PerturbThenNoise",
    "PseudoLabels",
    "SmoothAdv",
    "Stability",
    "Trainer",
    "TrainingCollapsed",
    "init_from",
    "preset",
    "presets",
    "pseudo_label",
]
