"""Checkpoints of other people give the logits of their own network."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.data import as_image_data
from rsmooth.models import Normalize, load_checkpoint
from rsmooth.models.foreign import load_checkpoint as defined
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier

X = torch.linspace(0, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
PAIR = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    net = MODELS.create("resnet8")[1]
    with torch.no_grad():
        net(torch.rand(8, 3, 8, 8))  # statistics of batch norm that are not those of a fresh net
    return net.eval()


def keyed(net: nn.Module, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in net.state_dict().items()}


class Theirs(nn.Module):
    """A normalising layer with other names than ours."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.tensor(PAIR[0]).view(1, 3, 1, 1))
        self.register_buffer("sds", torch.tensor(PAIR[1]).view(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.means) / self.sds


def layouts(net: nn.Module) -> dict[str, Any]:
    """What torch itself writes of the wrapped network, or what others name it."""
    averaged = torch.optim.swa_utils.AveragedModel(nn.Sequential(nn.Identity(), net))
    compiled = torch.compile(net, backend="eager")
    return {
        "macer": {"net": keyed(net, "1."), "epoch": 1, "optimizer": {"state": {}}},
        "lightning": {"state_dict": keyed(net, "model."), "pytorch-lightning_version": "2.0"},
        "raw": net.state_dict(),
        "averaged": {"state_dict": averaged.state_dict()},
        "compiled": {"state_dict": compiled.state_dict()},
        "parallel": nn.DataParallel(nn.Sequential(nn.Identity(), net)).state_dict(),
    }


@pytest.mark.parametrize(
    "layout", ["macer", "lightning", "raw", "averaged", "compiled", "parallel"]
)
def test_every_layout_gives_the_same_logits(layout: str, net: nn.Module, tmp_path: Path) -> None:
    torch.save(layouts(net)[layout], tmp_path / "file")
    base = load_checkpoint(tmp_path / "file", normalize=PAIR, arch="resnet8")
    with torch.no_grad():
        torch.testing.assert_close(base(X), net(Normalize(*PAIR)(X)))
    with pytest.raises(ValueError, match=r'got None for .*file; give arch=, such as arch="resnet'):
        load_checkpoint(tmp_path / "file", normalize=PAIR)
    with pytest.raises(ValueError, match="expected normalize, got none"):
        load_checkpoint(tmp_path / "file", arch="resnet8")


def test_constants_in_the_file_are_used_or_compared(net: nn.Module, tmp_path: Path) -> None:
    theirs = nn.Sequential(Theirs(), net)
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "file")
    for given in ({}, {"normalize": PAIR}):
        base = load_checkpoint(tmp_path / "file", arch="resnet8", **given)
        with torch.no_grad():
            assert torch.equal(base(X), theirs(X))
    with pytest.raises(ValueError, match=r"file holds, .*got 'cifar10'; leave normalize out"):
        load_checkpoint(tmp_path / "file", arch="resnet8", normalize="cifar10")
    torch.save({"state_dict": net.state_dict(), "normalize": "cifar10"}, tmp_path / "named")
    named = load_checkpoint(tmp_path / "named", arch="resnet8")
    with torch.no_grad():
        torch.testing.assert_close(
            named(X), load_checkpoint(tmp_path / "named", arch="resnet8", normalize="cifar10")(X)
        )


def test_files_of_old_torch_lack_counters(net: nn.Module, tmp_path: Path) -> None:
    old = {k: v for k, v in keyed(net, "1.").items() if not k.endswith("num_batches_tracked")}
    torch.save({"arch": "resnet8", "state_dict": old}, tmp_path / "file")
    with torch.no_grad():
        assert torch.equal(load_checkpoint(tmp_path / "file", normalize=None)(X), net(X))


def test_what_does_not_belong_to_the_network_is_refused(net: nn.Module, tmp_path: Path) -> None:
    for beside in ({"loss.weight": torch.ones(3)}, {"1.extra.weight": torch.ones(3)}):
        torch.save({"state_dict": {**keyed(net, "1."), **beside}}, tmp_path / "file")
        with pytest.raises(ValueError, match=r"unexpected (loss|extra)\.weight"):
            load_checkpoint(tmp_path / "file", normalize=None, arch="resnet8")


def test_other_input_channels_are_seen(tmp_path: Path) -> None:
    grey = MODELS.create("resnet8", num_classes=7, in_channels=1).eval()
    torch.save(grey.state_dict(), tmp_path / "file")
    base = load_checkpoint(tmp_path / "file", normalize=None, arch="resnet8")
    with torch.no_grad():
        assert torch.equal(base(X[:, :1]), grey(X[:, :1]))


def test_a_file_without_checksums_is_named_in_the_record(net: nn.Module, tmp_path: Path) -> None:
    content = {"arch": "resnet8", "state_dict": keyed(net, "1.")}
    torch.save(content, tmp_path / "old.pth.tar", _use_new_zipfile_serialization=False)
    with pytest.warns(match=r"old\.pth\.tar is in the format of torch before 1\.6, .* checksums"):
        base = load_checkpoint(tmp_path / "old.pth.tar", normalize=None)
    digest = hashlib.sha256((tmp_path / "old.pth.tar").read_bytes()).hexdigest()
    data = as_image_data(((255 * X).byte(), torch.tensor([0, 1])), num_classes=10)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
    settings = CertifySettings(n=100, n0=10)
    log = certify_dataset(g, data, tmp_path / "run", settings, progress=False)
    assert log.provenance["model"]["file"] == {"file": "old.pth.tar", "sha256": digest}
    g.save(tmp_path / "model.pt")
    assert SmoothedClassifier.load(tmp_path / "model.pt").base.origin == base.origin
    torch.save(content, tmp_path / "new.pth.tar")
    assert load_checkpoint(tmp_path / "new.pth.tar", normalize=None).origin is None


def test_an_earlier_journal_of_such_a_file_continues(net: nn.Module, tmp_path: Path) -> None:
    """Headers did not hold the SHA-256 before."""
    base = nn.Sequential(nn.Identity(), net)
    data = as_image_data(((255 * X).byte(), torch.tensor([0, 1])), num_classes=10)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
    settings = CertifySettings(n=100, n0=10)
    certify_dataset(g, data, tmp_path / "run", settings, progress=False)
    base.origin = {"file": "old.pth.tar", "sha256": "0" * 64}
    log = certify_dataset(g, data, tmp_path / "run", settings, progress=False)
    assert "file" not in log.provenance["model"]


def test_the_package_gives_the_same_function() -> None:
    assert load_checkpoint is defined


def padded_block(x: Tensor, weights: dict[str, Tensor], name: str, stride: int) -> Tensor:
    """A basic block with the shortcut of option A, from its formula."""

    def norm(points: Tensor, layer: str) -> Tensor:
        mean, var, scale, shift = (
            weights[f"{name}.{layer}.{each}"].view(1, -1, 1, 1)
            for each in ("running_mean", "running_var", "weight", "bias")
        )
        return (points - mean) / (var + 1e-5).sqrt() * scale + shift

    out = nn.functional.conv2d(x, weights[f"{name}.conv1.weight"], stride=stride, padding=1)
    out = nn.functional.conv2d(norm(out, "bn1").relu(), weights[f"{name}.conv2.weight"], padding=1)
    kept, missing = x[:, :, ::stride, ::stride], out.shape[1] - x.shape[1]
    zeros = torch.zeros(len(x), missing // 2, *kept.shape[2:])
    return (norm(out, "bn2") + torch.cat([zeros, kept, zeros], dim=1)).relu()


def test_resnets_with_padding_and_other_words_give_their_own_logits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = MODELS.create("cifar-resnet", depth=14, shortcut="padding")[1]
    net(torch.rand(8, 3, 8, 8))
    theirs = {
        name.replace("fc.", "linear."): tensor
        for name, tensor in net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    content = {"state_dict": {f"module.{k}": v for k, v in theirs.items()}, "best_prec1": 91.7}
    torch.save(content, tmp_path / "resnet14.th")
    base = load_checkpoint(tmp_path / "resnet14.th", normalize=PAIR, arch="cifar-resnet")
    options = {"num_classes": 10, "depth": 14, "shortcut": "padding", "normalize": PAIR}
    assert base.architecture == {"name": "cifar-resnet", "options": options}
    x = nn.functional.conv2d(Normalize(*PAIR)(X), theirs["conv1.weight"], padding=1)
    x = nn.functional.batch_norm(
        x, *(theirs[f"bn1.{n}"] for n in ("running_mean", "running_var", "weight", "bias"))
    ).relu()
    for layer in (1, 2, 3):
        for block in (0, 1):
            stride = 2 if layer > 1 and block == 0 else 1
            x = padded_block(x, theirs, f"layer{layer}.{block}", stride)
    expected = x.mean((2, 3)) @ theirs["linear.weight"].T + theirs["linear.bias"]
    with torch.no_grad():
        torch.testing.assert_close(base(X), expected)
    convolutions = MODELS.create("cifar-resnet", depth=8)[1].eval()
    words = {"fc": "linear", "downsample": "shortcut"}
    renamed = {
        ".".join(words.get(part, part) for part in name.split(".")): tensor
        for name, tensor in convolutions.state_dict().items()
    }
    torch.save(renamed, tmp_path / "resnet8.th")
    base = load_checkpoint(tmp_path / "resnet8.th", normalize=None, arch="cifar-resnet")
    with torch.no_grad():
        assert torch.equal(base(X), convolutions(X))
    with pytest.raises(ValueError, match=r"unexpected layer1\.1"):
        load_checkpoint(tmp_path / "resnet14.th", normalize=None, arch="resnet8")


@pytest.mark.parametrize("arch", ["timm", "torchvision", "hf", "ensemble"])
def test_an_arch_that_needs_more_options_is_refused(
    arch: str, net: nn.Module, tmp_path: Path
) -> None:
    torch.save(net.state_dict(), tmp_path / "net.pth")
    with pytest.raises(ValueError, match=r"needs no further options.*load_weights"):
        load_checkpoint(tmp_path / "net.pth", normalize="cifar10", arch=arch)
