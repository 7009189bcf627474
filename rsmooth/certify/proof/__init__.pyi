from .bounds import lower_confidence_bound as lower_confidence_bound
from .bounds import upper_confidence_bound as upper_confidence_bound
from .planning import plan as plan
