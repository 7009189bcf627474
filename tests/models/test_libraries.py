"""What networks of other libraries share: names, constants, options, and errors in our words."""

from __future__ import annotations

import pytest
from torch import nn

from rsmooth.models.libraries import (
    check_known,
    constants,
    finished,
    in_our_words,
    network_name,
)


def test_a_network_has_one_name() -> None:
    options = {"name": "resnet18", "width": 2}
    assert network_name("timm", None, options) == "resnet18"
    assert options == {"width": 2}
    assert network_name("timm", "resnet34", {}) == "resnet34"
    for model, named in ((None, {}), ("a", {"name": "b"})):
        with pytest.raises(ValueError, match="expected the name of one network of timm"):
            network_name("timm", model, dict(named))


def test_unknown_networks_come_with_close_matches() -> None:
    check_known("timm", "resnet18.a1_in1k", ["resnet18"])
    with pytest.raises(ValueError, match=r"got 'resnet81'; did you mean 'resnet18'\?"):
        check_known("timm", "resnet81", ["resnet18"])
    with pytest.raises(ValueError, match=r"expected the plain name .* got 'hf-hub:somebody/net'"):
        check_known("timm", "hf-hub:somebody/net", ["resnet18"])
    with pytest.raises(ValueError, match="list_models"):
        check_known("torchvision", "alexnet.tag", ["alexnet"][:0])


def test_constants_are_the_given_ones_or_the_library_s() -> None:
    assert constants("cifar10", None, None, 3, "net") == "cifar10"
    assert constants(None, (0.5,), (0.5,), 3, "net") is None
    assert constants("own", (0.1, 0.2, 0.3), (1, 2, 3), 3, "net") == ([0.1, 0.2, 0.3], [1, 2, 3])
    grey = constants("own", (0.1, 0.2, 0.6), (1, 2, 3), 1, "net")
    assert grey == (pytest.approx([0.3]), [2.0])
    with pytest.raises(ValueError, match="'net' states none; give normalize="):
        constants("own", None, None, 3, "net")
    with pytest.raises(ValueError, match="states it for 3 channels, not 4"):
        constants("own", (0.1, 0.2, 0.3), (1, 2, 3), 4, "net")


def test_errors_of_a_library_are_said_in_our_words() -> None:
    def fail(error: Exception) -> None:
        raise error

    with pytest.raises(OSError, match=r"fetch the weights of timm 'a', got .*: no route"):
        in_our_words("timm", "a", True, lambda: fail(OSError("no route\nlong")))
    with pytest.raises(OSError, match="configuration of hf 'a'"):
        in_our_words("hf", "a", False, lambda: fail(OSError()))
    with pytest.raises(ValueError, match="expected options that timm takes for 'a', got TypeError"):
        in_our_words("timm", "a", False, lambda: fail(TypeError("foo")))
    with pytest.raises(ValueError, match="expected this"):
        in_our_words("timm", "a", False, lambda: fail(ValueError("expected this")))


def test_what_rebuilds_a_network_is_plain() -> None:
    made = finished(nn.Identity(), ((0.5,), None), 1, 8, {"model": "net", "num_classes": 2})
    assert made.plain_options == {
        **{"model": "net", "num_classes": 2, "in_channels": 1, "image_size": 8},
        "normalize": [(0.5,), None],
    }
