"""Denoisers: published sizes and outputs, the order of FFDNet's channels, files of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rsmooth import DENOISERS
from rsmooth.models import BlindDnCNN, DnCNN, FFDNet, MemNet
from tests.defenses.published import cases
from tests.defenses.test_denoise import denoiser

CASES = cases("denoiser", "denoiser")
SMALL: dict[str, dict[str, Any]] = {
    "dncnn": {"depth": 3, "width": 4},
    "dncnn-blind": {"depth": 3, "width": 4},
    "ffdnet": {"depth": 3, "width": 4, "sigma": 0.25},
    "memnet": {"width": 4, "memories": 2, "blocks": 2},
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_the_authors(name: str) -> None:
    case = CASES[name]
    found = denoiser(name).eval()(case["x"] + case["noise"])
    torch.testing.assert_close(found, case["eval"], rtol=0, atol=1e-12)


def test_they_have_their_published_sizes() -> None:
    with torch.device("meta"):
        nets = [DnCNN(), DnCNN(width=128), MemNet(), FFDNet(0.1), BlindDnCNN()]
    sizes = [sum(own.numel() for own in net.parameters()) for net in nets]
    # The last two by hand: 9 weights per pair of channels, and a bias.
    ffdnet = 9 * (13 * 96 + 10 * 96 * 96 + 96 * 12) + 11 * 96 + 12
    blind = 9 * (2 * 3 * 64 + 18 * 64 * 64) + 19 * 64 + 3
    assert sizes == [558_400, 2_222_720, 1_436_678, ffdnet, blind]


def test_dncnn_starts_as_the_identity() -> None:
    x = torch.rand(2, 3, 8, 8)
    net = DnCNN(depth=4, width=8)
    assert torch.equal(net(x), x)
    assert net.dncnn[3].momentum == 0.95
    assert net.dncnn[3].eps == 1e-4


def test_a_dncnn_of_one_convolution_is_refused() -> None:
    """It would have two."""
    with pytest.raises(ValueError, match="expected depth >= 2, got 1"):
        DENOISERS.create("dncnn", depth=1)


def test_ffdnet_sees_blocks_by_colour_column_and_row() -> None:
    """Written out by axes; the thirteenth channel is the noise level."""
    net = FFDNet(0.25, depth=3, width=5).double().eval()
    x = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    parts = x.view(2, 3, 3, 2, 4, 2)  # B c h i w j
    blocks = parts.permute(0, 1, 5, 3, 2, 4).reshape(2, 12, 3, 4)
    level = torch.full((2, 1, 3, 4), 0.25, dtype=torch.float64)
    with torch.no_grad():
        clean = net.layers(torch.cat([blocks, level], dim=1))
        back = clean.view(2, 3, 2, 2, 3, 4).permute(0, 1, 4, 3, 5, 2).reshape(2, 3, 6, 8)
        torch.testing.assert_close(net(x), back, rtol=0, atol=1e-12)
        other = FFDNet(0.1, depth=3, width=5).double().eval()
        other.load_state_dict(net.state_dict())
        assert not torch.equal(other(x), net(x))
    with pytest.raises(ValueError, match="expected images of even height and width, got"):
        net(x[..., :7])


@pytest.mark.parametrize("name", DENOISERS.own_names())
def test_every_denoiser_gives_images_back_and_can_be_rebuilt(name: str) -> None:
    net = DENOISERS.create(name, in_channels=1, **SMALL[name]).eval()
    x = torch.rand(2, 1, 8, 8)
    again = DENOISERS.create(net.architecture["name"], **net.architecture["options"]).eval()
    again.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert net(x).shape == x.shape
        assert torch.equal(again(x), net(x))
    assert "weights" not in net.architecture["options"]


def test_weights_come_from_arrays_or_checkpoints(tmp_path: Path) -> None:
    net = BlindDnCNN(depth=3, width=4)
    layers = [layer for layer in net.layers if isinstance(layer, torch.nn.Conv2d)]
    arrays = {f"w{i}": layer.weight.detach().numpy() for i, layer in enumerate(layers)}
    arrays |= {f"b{i}": layer.bias.detach().numpy() for i, layer in enumerate(layers)}
    np.savez(tmp_path / "net.npz", **arrays)
    published = {f"module.{name}": own for name, own in net.state_dict().items()}
    torch.save({"state_dict": published, "epoch": 3}, tmp_path / "net.pth.tar")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    for file in ("net.npz", "net.pth.tar", "net.pt"):
        options: dict[str, Any] = {**SMALL["dncnn-blind"], "weights": tmp_path / file}
        found = DENOISERS.create("dncnn-blind", **options).state_dict()
        assert all(torch.equal(found[name], own) for name, own in net.state_dict().items())
    with pytest.raises(ValueError, match=r"expected weights that fit BlindDnCNN exactly, got from"):
        DENOISERS.create("dncnn-blind", depth=4, width=4, weights=tmp_path / "net.npz")
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match=r"expected weights as arrays in .*broken\.npz"):
        DENOISERS.create("dncnn-blind", weights=tmp_path / "broken.npz")
    with pytest.raises(FileNotFoundError):
        DENOISERS.create("dncnn-blind", weights=tmp_path / "absent.npz")
