"""Base classifiers, their normalisation, checkpoints, and the folding of batch norm.

Importing this package registers the models in ``rsmooth.registry.MODELS``.
"""

from rsmooth.models.checkpoints import atomic_save, load_checkpoint, load_weights, safe_load
from rsmooth.models.folding import fold_batchnorm, refold
from rsmooth.models.head import replace_head
from rsmooth.models.imagenet import resnet50
from rsmooth.models.normalize import NORMALIZATIONS, Classifier, Normalization, Normalize
from rsmooth.models.resnet import CifarResNet, resnet8, resnet20, resnet110
from rsmooth.models.small import mlp, small_cnn
from rsmooth.models.wide import resnet9

__all__ = [
    "NORMALIZATIONS",
    "CifarResNet",
    "Classifier",
    "Normalization",
    "Normalize",
    "atomic_save",
    "fold_batchnorm",
    "load_checkpoint",
    "load_weights",
    "mlp",
    "refold",
    "replace_head",
    "resnet8",
    "resnet9",
    "resnet20",
    "resnet50",
    "resnet110",
    "safe_load",
    "small_cnn",
]
