"""Deterministic certificates: what is proved, by what, and with which statement."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from rsmooth.bounds import margin_bounds, smallest_margin
from rsmooth.certify import certify_linf
from rsmooth.certify import deterministic as module
from rsmooth.certify.bound_settings import BoundSettings
from rsmooth.certify.deterministic import BoundEngine, widened
from rsmooth.data.convert import to_unit
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.bounds.oracles import images, network

EPSILONS = [0.05, 0.1, 0.15, 0.2]


def classifier(name="plain", sigma=0.0):
    return SmoothedClassifier(network(name, torch.float32), sigma=sigma, num_classes=10)


@pytest.mark.parametrize("name", ["plain", "resnet8"])
def test_the_radius_is_the_largest_epsilon_that_any_method_proves(name):
    x, _ = images(name, torch.float32)
    found = certify_linf(classifier(name), x, epsilons=EPSILONS)
    labels = network(name)(x.double()).argmax(dim=1)
    assert torch.equal(found.label, labels)
    best = torch.zeros(len(x), dtype=torch.float64)
    for epsilon in EPSILONS:
        for method in ("ibp", "crown-ibp", "fast-lin"):
            margins = margin_bounds(
                network(name), x.double(), labels, epsilon=epsilon, method=method, intersect=True
            )
            best[smallest_margin(margins, labels) > 0] = epsilon
    assert torch.equal(found.radius, best)
    assert len(best.unique()) > 1
    assert (found.margin[best > 0] > 0).all()
    assert found.margin[best == 0].isnan().all()


def test_each_image_is_proved_by_the_cheapest_method_that_can():
    x, _ = images("plain", torch.float32)
    found = certify_linf(classifier(), x, epsilons=EPSILONS)
    for at, method in enumerate(found.method):
        alone = {
            name: float(
                certify_linf(classifier(), x[at : at + 1], epsilons=EPSILONS, bounds=[name]).radius
            )
            for name in ("ibp", "crown-ibp", "fast-lin")
        }
        reach = float(found.radius[at])
        assert method == next((name for name, radius in alone.items() if radius == reach > 0), None)
    assert len(set(found.method)) > 1


class Halved(nn.Module):
    """Writes over its images in its first step."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
        nn.init.constant_(self.fc.weight, 1.0)
        self.fc.weight.data[1] = -1.0
        nn.init.zeros_(self.fc.bias)

    def forward(self, x):
        x *= 0.5
        return self.fc(x.flatten(1))


def test_a_network_that_writes_over_its_images_is_proved_at_these():
    g = SmoothedClassifier(Halved(), sigma=0, num_classes=2)
    x = torch.full((1, 1, 2, 2), 0.1, dtype=torch.float64)
    found = certify_linf(g, x, epsilons=[0.04, 0.08, 0.12], clip=False)
    assert found.radius.item() == 0.08
    assert (x == 0.1).all()


def test_logits_of_other_classes_are_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 11))
    g = SmoothedClassifier(net, sigma=0, num_classes=10)
    with pytest.raises(ValueError, match="logits of 10 classes from the base classifier, got 11"):
        certify_linf(g, torch.rand(2, 1, 4, 4), epsilons=[0.1])


def test_a_log_says_what_is_certified():
    x, y = images("plain", torch.float32)
    log = certify_linf(classifier(), x, epsilons=[0.02], bounds=["ibp"]).to_log(y)
    assert (log.statement.norm, log.statement.kind) == ("linf", "deterministic")
    assert log.statement.method == "ibp"
    assert log.provenance["epsilons"] == [0.02]
    assert log.provenance["bounds"] == ["ibp"]
    assert "exact arithmetic" in log.provenance["certified_function"]
    assert "rounding" in log.provenance["arithmetic"]
    assert set(log.proved_by.tolist()) <= {"ibp", ""}
    for kind in (y.tolist(), y.numpy()):
        again = certify_linf(classifier(), x, epsilons=[0.02], bounds=["ibp"]).to_log(kind)
        assert again.label.tolist() == y.tolist()


def test_a_classifier_with_noise_has_no_deterministic_bounds():
    with pytest.raises(ValueError, match="without noise for deterministic bounds, got gauss"):
        certify_linf(classifier(sigma=0.25), torch.rand(1, 1, 8, 8), epsilons=[0.1])


def test_images_of_another_shape_are_refused_by_name():
    engine = BoundEngine(classifier(), BoundSettings(epsilons=[0.1]), (1, 8, 8))
    for shape in ((2, 3, 8, 8), (2, 1, 9, 8)):
        with pytest.raises(ValueError, match=r"images of shape \(1, 8, 8\), .*, got \("):
            engine.prove(torch.rand(shape))


def test_images_off_the_pixel_values_are_refused():
    with pytest.raises(ValueError, match=r"images in \[0, 1\]"):
        certify_linf(classifier(), torch.full((1, 1, 8, 8), 1.01), epsilons=[0.1])


def test_an_unknown_layer_is_named():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh())
    g = SmoothedClassifier(net, sigma=0, num_classes=4)
    with pytest.raises(ValueError, match=r"got Tanh\(\) at 2"):
        certify_linf(g, torch.rand(1, 1, 8, 8), epsilons=[0.1])


def test_dear_bounds_are_left_out_where_an_image_would_take_minutes(monkeypatch):
    settings = BoundSettings(epsilons=[0.1])
    g = classifier()
    assert BoundEngine(g, settings, (1, 8, 8)).methods == ("ibp", "crown-ibp", "fast-lin")
    monkeypatch.setattr(module, "AFFORDABLE", 1e6)
    assert BoundEngine(g, settings, (1, 8, 8)).methods == ("ibp", "crown-ibp")
    asked = BoundSettings(epsilons=[0.1], bounds=["fast-lin"])
    assert BoundEngine(g, asked, (1, 8, 8)).methods == ("fast-lin",)


def test_max_pooling_is_certified_by_intervals_alone():
    base = MODELS.create("resnet9", num_classes=4, in_channels=1, width=8)
    g = SmoothedClassifier(base, sigma=0, num_classes=4)
    assert BoundEngine(g, BoundSettings(epsilons=[0.1]), (1, 16, 16)).methods == ("ibp",)
    asked = BoundSettings(epsilons=[0.1], bounds=["ibp", "crown-ibp"])
    with pytest.raises(ValueError, match="without max pooling for crown-ibp"):
        BoundEngine(g, asked, (1, 16, 16))


def test_the_box_that_is_proved_holds_all_images_of_that_many_levels():
    """Exactly: each pair of levels, in rational numbers."""
    values = [Fraction(value.item()) for value in to_unit(torch.arange(256, dtype=torch.uint8))]
    wide = [
        (k, m)
        for m in range(1, 256)
        for k in range(256 - m)
        if values[k + m] - values[k] > Fraction(m / 255)
    ]
    assert (127, 1) in wide, "float32 rounds them apart"
    for k, m in wide:
        assert values[k + m] - values[k] <= Fraction(widened(m / 255))


def test_no_certificate_where_the_next_level_has_another_class():
    """The boundary lies between 1/255 from level 127 and level 128, which is 3e-8 beyond."""
    here, there = to_unit(torch.tensor([127, 128], dtype=torch.uint8)).double().tolist()
    boundary = (here + 1 / 255 + there) / 2
    assert here + 1 / 255 < boundary < there
    net = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[-1.0], [0.0]]))
        net[1].bias.copy_(torch.tensor([boundary, 0.0], dtype=torch.float64))
    g = SmoothedClassifier(net, sigma=0, num_classes=2)
    x = torch.tensor([here]).view(1, 1, 1, 1)
    result = certify_linf(g, x, epsilons=[0.9 / 255, 1 / 255])
    assert result.label.item() == 0
    assert result.radius.item() == 0.9 / 255
