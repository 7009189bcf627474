"""Attacks on base and smoothed classifiers: which optimiser, on which target, with which objective,
as values.
"""

from rsmooth.attacks.base import (
    Attack,
    Evaluate,
    Evaluation,
    GradientAttack,
    Problem,
    Victim,
    frozen,
    majority_vote,
)
from rsmooth.attacks.ddn import DDN, NaiveDDN, SmoothAdvDDN
from rsmooth.attacks.evaluate import attack_radius, empirical_accuracy
from rsmooth.attacks.foolbox import FoolboxAttack, to_foolbox, to_foolbox_attack
from rsmooth.attacks.pgd import PGD, NaivePGD, SmoothAdvPGD

__all__ = [
    "DDN",
    "PGD",
    "Attack",
    "Evaluate",
    "Evaluation",
    "FoolboxAttack",
    "GradientAttack",
    "NaiveDDN",
    "NaivePGD",
    "Problem",
    "SmoothAdvDDN",
    "SmoothAdvPGD",
    "Victim",
    "attack_radius",
    "empirical_accuracy",
    "frozen",
    "majority_vote",
    "to_foolbox",
    "to_foolbox_attack",
]
