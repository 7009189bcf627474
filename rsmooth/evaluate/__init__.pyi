from .auditing import Audit as Audit
from .auditing import audit as audit
from .empirical import attack_radius as attack_radius
from .empirical import empirical_accuracy as empirical_accuracy
