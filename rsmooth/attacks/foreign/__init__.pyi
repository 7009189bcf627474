from .advlib import AdvLibAttack as AdvLibAttack
from .art import ARTAttack as ARTAttack
from .autoattack import AutoAttack as AutoAttack
from .foolbox import FoolboxAttack as FoolboxAttack
from .foolbox import to_foolbox as to_foolbox
from .foolbox import to_foolbox_attack as to_foolbox_attack
from .torchattacks import TorchattacksAttack as TorchattacksAttack
