from .foolbox import FoolboxAttack as FoolboxAttack
from .foolbox import to_foolbox as to_foolbox
from .foolbox import to_foolbox_attack as to_foolbox_attack
