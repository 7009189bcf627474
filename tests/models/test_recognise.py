"""Names and shapes alone tell which network weights are of, and with which options."""

from __future__ import annotations

import pytest
import torch

from rsmooth.models.recognise import built, networks, options_of_shapes, prefixes, translated
from rsmooth.registry import DENOISERS, MODELS

from .helpers import OWN, build

# Options that are told apart from the usual ones, beside those of the helpers.
UNUSUAL = {
    "small-cnn": {"width": 5},
    "patch-cnn": {"patch_width": 6, "widths": (8, 16), "residual": True},
    "mlp": {"image_size": 16, "hidden": (5, 4)},
    "cifar-resnet": {"depth": 14, "shortcut": "padding"},
    "wrn-28-10": {"depth": 16, "widen": 2},
}
ALIASES = {"dm-large": "cnn7"}


def weights_of(name, prefix="", **options):
    model, _ = build(name, **options)
    return {prefix + key: tensor for key, tensor in model[1].state_dict().items()}, model


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("prefix", ["", "1.", "net.encoder."])
def test_every_network_of_ours_is_told_by_its_shapes(name, prefix):
    weights, model = weights_of(name, prefix, **UNUSUAL.get(name, {}))
    [found] = networks(weights, image=(1, 16, 16))
    assert (found.name, found.prefix, found.kind) == (ALIASES.get(name, name), prefix, "model")
    asked = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in model.architecture["options"].items()
    }
    assert asked.items() <= found.options.items()


@pytest.mark.parametrize("name", DENOISERS.own_names())
def test_denoisers_too(name):
    options = {"sigma": 0.25} if name == "ffdnet" else {"width": 8}
    [found] = networks(DENOISERS.create(name, **options).state_dict())
    assert (found.name, found.kind) == (name, "denoiser")
    assert options.items() <= found.options.items()


def test_other_words_for_the_same_layers():
    weights, _ = weights_of("resnet8")
    other = {
        key.replace("fc.", "linear.").replace("downsample", "shortcut"): tensor
        for key, tensor in weights.items()
    }
    assert networks(other) == networks(weights)
    assert set(translated("resnet8", other)) == set(weights)
    assert set(translated("wrn-28-10", other)) == set(other)  # it has shortcuts of its own


def test_counters_may_lack():
    weights, _ = weights_of("resnet8")
    fewer = {key: each for key, each in weights.items() if not key.endswith("tracked")}
    assert networks(fewer) == networks(weights)


@pytest.mark.parametrize("change", ["less", "more", "shape"])
def test_a_network_with_another_layer_is_none_of_ours(change):
    weights, _ = weights_of("small-cnn")
    if change == "less":
        del weights["6.weight"]
    elif change == "more":
        weights["12.weight"] = torch.zeros(3, 3)
    else:
        weights["6.weight"] = weights["6.weight"][:, :3]
    assert networks(weights) == []


def test_several_networks_are_all_found():
    teacher, _ = weights_of("resnet8", "teacher.")
    student, _ = weights_of("resnet8", "student.")
    assert [each.prefix for each in networks({**teacher, **student})] == ["teacher.", "student."]


def test_a_small_part_is_no_network():
    weights, _ = weights_of("resnet8", "net.")
    weights |= {"probe.1.weight": torch.zeros(2, 4), "probe.1.bias": torch.zeros(2)}
    assert [each.name for each in networks(weights)] == ["resnet8"]


def test_the_image_decides_where_shapes_allow_two():
    wide = MODELS.create("mlp", in_channels=3, image_size=12)[1].state_dict()  # 432 inputs
    square = MODELS.create("mlp", in_channels=1, image_size=30)[1].state_dict()  # 900
    assert networks(wide)[0].options["in_channels"] == 3
    assert networks(square, image=(1, 30, 30))[0].options["image_size"] == 30


def test_options_of_one_family():
    weights, _ = weights_of("small-cnn", width=6)
    assert options_of_shapes("small-cnn", weights) == {
        "num_classes": 7,
        "in_channels": 1,
        "width": 6,
    }
    assert options_of_shapes("resnet8", weights) is None
    assert options_of_shapes("of-a-plugin", weights) is None


def test_prefixes_and_networks_without_numbers():
    assert prefixes({"a.b.weight": 0, "c": 1}) == ["", "a.", "a.b."]
    assert all(p.is_meta for p in built("resnet20", {"num_classes": 10}).parameters())
