"""What each method costs, in rows and in seconds."""

import torch

from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.planning import method_costs
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.bounds.oracles import images, network

SETTINGS = BoundSettings(epsilons=[0.02])


def test_methods_cost_their_rows():
    g = SmoothedClassifier(network("plain", torch.float32), sigma=0, num_classes=10)
    costs = method_costs(g, images("plain", torch.float32)[0], SETTINGS)
    assert [(cost.method, cost.rows) for cost in costs] == [
        ("ibp", 10),
        ("crown-ibp", 10),
        ("fast-lin", 298),
        ("crown", 586),
    ]
    assert [cost.estimated for cost in costs] == [False, False, True, True]
    assert [cost.default for cost in costs] == [True, True, True, False]
    assert all(cost.seconds > 0 for cost in costs)


def test_max_pooling_leaves_intervals():
    base = MODELS.create("resnet9", num_classes=4, in_channels=1, width=8)
    g = SmoothedClassifier(base, sigma=0, num_classes=4)
    assert [cost.method for cost in method_costs(g, torch.rand(1, 1, 16, 16), SETTINGS)] == ["ibp"]
