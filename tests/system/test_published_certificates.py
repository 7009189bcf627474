"""A published Wong-Kolter network, certified again: the flags of the first 200 test images.

Its weights, and what Mangal et al. 2022 (arXiv:2206.00278) published for each CIFAR-10 test image,
are read from the file that RSMOOTH_WONG_KOLTER names; RSMOOTH_CIFAR10 names the images. About a
minute, by ``python -m pytest tests/system/test_published_certificates.py``.
"""

import os

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth.bounds import Prover, margin_bounds, smallest_margin
from rsmooth.data.convert import to_unit
from rsmooth.data.splits import load_dataset
from rsmooth.models.normalize import Normalize

PUBLISHED, CIFAR10 = os.environ.get("RSMOOTH_WONG_KOLTER"), os.environ.get("RSMOOTH_CIFAR10")
IMAGES = 200
pytestmark = pytest.mark.skipif(
    not (PUBLISHED and CIFAR10), reason="RSMOOTH_WONG_KOLTER and RSMOOTH_CIFAR10 name no files"
)


@pytest.fixture(scope="module")
def arrays():
    return dict(np.load(PUBLISHED))


@pytest.fixture(scope="module")
def net(arrays):
    layers = {
        "conv1": nn.Conv2d(3, 16, 4, 2, 1),
        "conv2": nn.Conv2d(16, 32, 4, 2, 1),
        "fc1": nn.Linear(2048, 100),
        "fc2": nn.Linear(100, 10),
    }
    for name, layer in layers.items():
        layer.load_state_dict(
            {key: torch.as_tensor(arrays[f"{name}.{key}"]) for key in ("weight", "bias")}
        )
    first, second, third, last = layers.values()
    normalize = Normalize(tuple(arrays["mean"].tolist()), float(arrays["std"]))
    return nn.Sequential(
        normalize, first, nn.ReLU(), second, nn.ReLU(), nn.Flatten(), third, nn.ReLU(), last
    ).eval()


@pytest.fixture(scope="module")
def images():
    test = load_dataset("npz", path=CIFAR10).test
    pixels, labels = test.batch(list(range(IMAGES)))
    return to_unit(pixels), labels


def test_every_flag_is_the_published_one(arrays, net, images):
    x, labels = images
    assert labels.tolist() == arrays["label"][:IMAGES].tolist()
    with torch.no_grad():
        y = net(x).argmax(dim=1)
        assert y.tolist() == arrays["predict"][:IMAGES].tolist()
        # Their epsilon is in units after normalisation, and their box is not cut at [0, 1].
        epsilon = float(arrays["eps_normalised"]) * float(arrays["std"])
        margins = torch.cat(
            [
                margin_bounds(net, part, label, epsilon=epsilon, method="fast-lin", clip=None)
                for part, label in zip(x.split(10), y.split(10), strict=True)
            ]
        )
    found = smallest_margin(margins, y) > 0
    assert found.tolist() == arrays["certified"][:IMAGES].tolist()


def test_proved_certificates_are_at_least_those(arrays, net, images):
    """Cut with intervals, and with rounding errors subtracted."""
    x, _ = images
    prover = Prover(net, clip=None)
    y = prover.predict(x)
    epsilon = float(arrays["eps_normalised"]) * float(arrays["std"])
    parts = zip(x.split(10), y.split(10), strict=True)
    margins = torch.cat([prover.margins(*part, epsilon, "fast-lin") for part in parts])
    proved = (smallest_margin(margins, y) > 0).numpy()
    published = arrays["certified"][:IMAGES]
    assert not (published & ~proved).any()
    assert (proved & ~published).sum() <= 2
