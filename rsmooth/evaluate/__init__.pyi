from .attacked import UnderAttack as UnderAttack
from .attacked import attack_data as attack_data
from .auditing import Audit as Audit
from .auditing import audit as audit
from .empirical import answers_under_attack as answers_under_attack
from .empirical import attack_radius as attack_radius
from .empirical import empirical_accuracy as empirical_accuracy
