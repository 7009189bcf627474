"""Networks of timm: their own normalisation, a file that travels, and certificates."""

from __future__ import annotations

import pytest
import torch

from rsmooth import SmoothedClassifier, certify
from rsmooth.models.folding import FoldedConv2d, fold_batchnorm
from rsmooth.registry import MODELS
from rsmooth.testing import check_model

timm = pytest.importorskip("timm")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def resnet(**options):
    torch.manual_seed(0)
    return MODELS.create("timm", model="test_resnet", num_classes=10, **options)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"model": "test_resnet"}, (3, 32, 32)),
        ({"name": "test_vit", "image_size": 32, "in_channels": 1}, (1, 32, 32)),
    ],
)
def test_a_network_keeps_the_contract_of_models(options, shape) -> None:
    check_model(MODELS.create("timm", num_classes=7, **options), shape)


def test_it_is_timms_network_behind_timms_normalisation() -> None:
    base = resnet().eval()
    net = timm.create_model("test_resnet", num_classes=10).eval()
    net.load_state_dict(base[1].state_dict())
    mean, std = (torch.tensor(net.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(base(x), net((x - mean) / std))
    assert base.architecture["options"]["normalize"] == [[0.5] * 3, [0.5] * 3]


def test_another_normalisation_and_options_are_kept_in_the_file(tmp_path) -> None:
    base = resnet(normalize="cifar10", drop_rate=0.25)
    SmoothedClassifier(base, sigma=0.25, num_classes=10).save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt").base
    assert loaded.architecture == base.architecture
    assert loaded[1].drop_rate == 0.25
    assert torch.equal(loaded[0].mean, base[0].mean)


def test_batch_norm_is_folded_where_it_is_plain() -> None:
    base = MODELS.create("timm", model="resnet18", num_classes=3).eval()
    folded = fold_batchnorm(base)
    assert any(isinstance(part, FoldedConv2d) for part in folded.modules())
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(folded(x), base(x), rtol=1e-4, atol=1e-4)


def test_certificates_are_those_of_the_wrapped_network() -> None:
    """The registered base and the bare network behind a layer of our own vote alike."""
    base = resnet().eval()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    x = (255 * x).round() / 255
    bare = torch.nn.Sequential(base[0], base[1])
    votes = [
        certify(SmoothedClassifier(net, 0.25, 10), x, n0=10, n=200).counts for net in (base, bare)
    ]
    assert torch.equal(*votes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "resnet81"}, "expected a network of timm, got 'resnet81'; did you mean"),
        (
            {"model": "hf-hub:a/b", "pretrained": True},
            "expected the plain name of a network of timm",
        ),
        ({"model": "test_resnet", "depth": 3}, "expected options that timm takes for"),
        ({"model": "test_resnet", "checkpoint_path": "x"}, r"rsmooth\.models\.load_weights"),
        ({"model": "test_resnet", "num_classes": 0}, "num_classes >= 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, words) -> None:
    with pytest.raises(ValueError, match=words):
        MODELS.create("timm", **options)


def test_weights_that_cannot_be_fetched(monkeypatch) -> None:
    def fetch(*_: object, **__: object) -> None:
        raise FileNotFoundError("no way to the Hub")

    monkeypatch.setattr(timm, "create_model", fetch)
    with pytest.raises(OSError, match=r"fetch the weights of timm 'resnet18'.*no way to the Hub"):
        MODELS.create("timm", model="resnet18", pretrained=True)


def test_without_timm(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(ImportError, match=r"pip install 'rsmooth\[timm\]'"):
        MODELS.create("timm", model="resnet18")
