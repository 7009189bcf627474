"""Every registered network has a way to work out its options, or a reason why not."""

from __future__ import annotations

import pytest

from rsmooth.models.families import FAMILIES
from rsmooth.registry import DENOISERS, MODELS


def test_every_network_has_a_way_to_tell_its_options():
    of_parts = {"denoised", "ensemble", "int8"}  # whose parts are told one by one, or made by us
    of_others = {"timm", "torchvision", "hf", "efficientnet-lite0"}  # of other packages
    assert set(FAMILIES) == {*MODELS.own_names(), *DENOISERS.own_names()} - of_parts - of_others


def test_options_from_the_layers_that_tell():
    shapes = {"0.weight": (8, 3, 4, 4), "5.weight": (100, 16 * 64), "7.weight": (10, 100)}
    assert list(FAMILIES["wk-small"](shapes)) == [
        {"num_classes": 10, "in_channels": 3, "image_size": 32, "width": 8}
    ]


def test_inputs_that_are_a_square_in_one_and_in_three_channels():
    found = list(FAMILIES["mlp"]({"1.weight": (10, 4 * 27)}))
    assert [(each["in_channels"], each["image_size"]) for each in found] == [(3, 6)]


def test_a_layer_that_is_absent_is_said_so():
    with pytest.raises(KeyError):
        next(FAMILIES["small-cnn"]({"0.weight": (8, 3, 3, 3)}))
