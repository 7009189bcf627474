"""Certify any network that maps images in [0, 1] to logits."""

import torch
from torch import nn

from rsmooth import SmoothedClassifier, certify, load_dataset
from rsmooth.models import Normalize

data = load_dataset("digits").test
torch.manual_seed(0)
net = nn.Sequential(Normalize(mean=(0.3,), std=(0.4,)), nn.Flatten(), nn.Linear(64, 10))  # yours

g = SmoothedClassifier(net, sigma=0.25, num_classes=10)
result = certify(g, data.images[:10], n0=100, n=1000, alpha=1e-3, seed=0)
for label, radius in zip(result.label, result.radius, strict=True):
    print("abstains" if label < 0 else f"class {int(label)}, certified radius {float(radius):.3f}")
