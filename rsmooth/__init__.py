"""rsmooth: train, attack and certify randomized-smoothing classifiers. The public names, and
nothing else.
"""

from rsmooth._version import __version__
from rsmooth.attacks import DDN, PGD, Attack, NaiveDDN, NaivePGD, SmoothAdvDDN, SmoothAdvPGD
from rsmooth.certify import ABSTAIN, Certificates, Predictions, certify_dataset
from rsmooth.certify.cohen import (
    certify,
    predict,
)  # after the package import: the function takes the package's name
from rsmooth.data import DataSplits, ImageData, load_dataset
from rsmooth.defenses import NoiseThenPerturb, PerturbBesideNoise, Trainer
from rsmooth.objectives import naive, smoothadv
from rsmooth.registry import (
    ATTACKS,
    DATASETS,
    MODELS,
    OBJECTIVES,
    TRAINERS,
    Registry,
    RegistryError,
)
from rsmooth.smoothed import SmoothedClassifier

__all__ = [
    "ABSTAIN",
    "ATTACKS",
    "DATASETS",
    "DDN",
    "MODELS",
    "OBJECTIVES",
    "PGD",
    "TRAINERS",
    "Attack",
    "Certificates",
    "DataSplits",
    "ImageData",
    "NaiveDDN",
    "NaivePGD",
    "NoiseThenPerturb",
    "PerturbBesideNoise",
    "Predictions",
    "Registry",
    "RegistryError",
    "SmoothAdvDDN",
    "SmoothAdvPGD",
    "SmoothedClassifier",
    "Trainer",
    "__version__",
    "certify",
    "certify_dataset",
    "load_dataset",
    "naive",
    "predict",
    "smoothadv",
]
