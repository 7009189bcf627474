from .guards import TrainingCollapsed as TrainingCollapsed
from .loop import History as History
from .recipe import Recipe as Recipe
