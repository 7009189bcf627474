import rsmooth.certify.cohen as _cohen

from . import attacks as attacks
from . import bounds as bounds
from . import data as data
from . import defenses as defenses
from . import evaluate as evaluate
from . import models as models
from . import noise as noise
from . import records as records
from . import report as report
from . import testing as testing
from . import training as training
from ._version import __version__ as __version__
from .attacks.base import Attack as Attack
from .attacks.ddn import DDN as DDN
from .attacks.ddn import NaiveDDN as NaiveDDN
from .attacks.ddn import SmoothAdvDDN as SmoothAdvDDN
from .attacks.pgd import PGD as PGD
from .attacks.pgd import NaivePGD as NaivePGD
from .attacks.pgd import SmoothAdvPGD as SmoothAdvPGD
from .certify.cohen import predict as predict
from .certify.results import Certificates as Certificates
from .certify.results import Predictions as Predictions
from .certify.run.dataset import certify_dataset as certify_dataset
from .data.images import ImageData as ImageData
from .data.splits import DataSplits as DataSplits
from .data.splits import load_dataset as load_dataset
from .defenses.trainer import Trainer as Trainer
from .defenses.variants import NoiseThenPerturb as NoiseThenPerturb
from .defenses.variants import PerturbBesideNoise as PerturbBesideNoise
from .objectives import naive as naive
from .objectives import smoothadv as smoothadv
from .records.log import ABSTAIN as ABSTAIN
from .registry import ATTACKS as ATTACKS
from .registry import DATASETS as DATASETS
from .registry import DENOISERS as DENOISERS
from .registry import MODELS as MODELS
from .registry import NOISES as NOISES
from .registry import OBJECTIVES as OBJECTIVES
from .registry import TRAINERS as TRAINERS
from .registry import Registry as Registry
from .registry import RegistryError as RegistryError
from .smoothed import SmoothedClassifier as SmoothedClassifier

certify = _cohen.certify
