"""Image classifiers of Hugging Face: logits alone, their constants, a file that travels."""

from __future__ import annotations

import json

import pytest
import torch

from rsmooth import SmoothedClassifier, certify
from rsmooth.registry import MODELS
from rsmooth.testing import check_model

pytest.importorskip("transformers")
from transformers import AutoConfig, AutoModelForImageClassification

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

RESNET = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
VIT = {"patch_size": 4, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def folder(tmp_path):
    """What save_pretrained leaves of a small network of three classes, with its processor."""
    torch.manual_seed(0)
    config = AutoConfig.for_model("resnet", num_labels=3, **RESNET)
    AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path / "net")
    processor(tmp_path / "net")
    return tmp_path / "net"


def processor(folder, **changed):
    entries = {"do_normalize": True, "do_rescale": True, "rescale_factor": 1 / 255}
    entries |= {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1], **changed}
    (folder / "preprocessor_config.json").write_text(json.dumps(entries))


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"model": "resnet", **RESNET}, (3, 16, 16)),
        ({"name": "vit", "in_channels": 1, "image_size": 8, **VIT}, (1, 8, 8)),
    ],
)
def test_a_type_of_model_keeps_the_contract_of_models(options, shape) -> None:
    base = MODELS.create("hf", num_classes=5, normalize="none", **options)
    check_model(base, shape)
    assert base.architecture["options"]["in_channels"] == shape[0]


def test_a_folder_is_the_network_behind_its_processors_normalisation(folder) -> None:
    base = MODELS.create("hf", model=str(folder), pretrained=True).eval()
    net = AutoModelForImageClassification.from_pretrained(folder).eval()
    mean, std = (torch.tensor(v)[:, None, None] for v in ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1)))
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(base(x), net((x - mean) / std).logits)
    g = SmoothedClassifier(base, sigma=0.25, num_classes=3)
    assert certify(g, (255 * x).round() / 255, n0=10, n=100).counts.sum() == 200


def test_the_file_needs_the_folder_no_more(folder, tmp_path) -> None:
    base = MODELS.create("hf", model=str(folder), pretrained=True).eval()
    SmoothedClassifier(base, sigma=0.25, num_classes=3).save(tmp_path / "model.safetensors")
    for left in folder.iterdir():
        left.unlink()
    loaded = SmoothedClassifier.load(tmp_path / "model.safetensors").base
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded(x), base(x))


def test_other_classes_get_a_fresh_last_layer_and_nothing_else_is_redrawn(folder) -> None:
    old = MODELS.create("hf", model=str(folder), pretrained=True)
    new = MODELS.create("hf", model=str(folder), pretrained=True, num_classes=7)
    before, after = old.state_dict(), new.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert all("classifier" in name for name in changed)
    assert len(changed) == 2
    with pytest.raises(ValueError, match="expected weights that fit"):
        MODELS.create("hf", model=str(folder), pretrained=True, embedding_size=16)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rescale_factor": 1.0}, "does more .rescaling"),
        ({"do_rescale": False}, "does more .rescaling"),
        ({"rescale_offset": True}, "does more .rescale_offset"),
        ({"image_mean": None}, "without constants"),
    ],
)
def test_a_processor_that_is_no_plain_normalisation_is_refused(folder, changed, words) -> None:
    processor(folder, **changed)
    with pytest.raises(ValueError, match=words):
        MODELS.create("hf", model=str(folder))
    assert MODELS.create("hf", model=str(folder), normalize="cifar10")


def test_a_processor_that_normalises_nothing(folder) -> None:
    processor(folder, do_normalize=False)
    base = MODELS.create("hf", model=str(folder))
    assert isinstance(base[0], torch.nn.Identity)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"model": "resnet"}, ValueError, "no preprocessor_config.json; give normalize="),
        ({"model": "resnet", "pretrained": True}, ValueError, "has no weights"),
        ({"model": "resnet", "normalize": None, "foo": 1}, ValueError, "got foo"),
        ({"model": "nobody/nothing"}, OSError, "expected to find or fetch the configuration of hf"),
        ({"model": "vit", "normalize": None, "image_size": 0}, ValueError, "image_size >= 1"),
    ],
)
def test_what_does_not_fit_is_refused(options, error, words) -> None:
    with pytest.raises(error, match=words):
        MODELS.create("hf", **options)
