from .batch import Batch as Batch
from .guards import TrainingCollapsed as TrainingCollapsed
from .metrics import History as History
from .recipe import Recipe as Recipe
from .recipe import expected_loss as expected_loss
from .sampling import EpochStart as EpochStart
from .sampling import RunStart as RunStart
