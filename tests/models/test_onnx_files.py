"""A base classifier as an ONNX graph: the same votes through onnxruntime, and a card that holds."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from rsmooth import MODELS, SmoothedClassifier, Trainer, certify, load_dataset
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.models.hashing import base_hash
from rsmooth.models.onnx_files import OnnxFunction, export_onnx, load_onnx
from rsmooth.plumbing.errors import RecordError

for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

DATA = load_dataset("digits")


@pytest.fixture(scope="module")
def g() -> SmoothedClassifier:
    torch.manual_seed(0)
    base = MODELS.create("small-cnn", in_channels=1, width=4, normalize=((0.3,), (0.35,)))
    g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
    Trainer(epochs=2).fit(g, DATA.train, progress=False)
    return g


@pytest.fixture(scope="module")
def file(g, tmp_path_factory) -> Path:
    return export_onnx(g, tmp_path_factory.mktemp("onnx") / "net.onnx", (1, 8, 8))


def test_the_graph_gets_the_votes_of_the_network(g, file) -> None:
    """Logits differ by 1e-6 or so. No copy of these images, of this seed, is so close to a tie."""
    images = DATA.test.subset(range(0, 500, 25))
    wanted = certify(g, images, n=1000)
    found = certify(load_onnx(file), images, n=1000)
    assert torch.equal(found.counts, wanted.counts)
    assert torch.equal(found.radius, wanted.radius)
    assert int((wanted.label >= 0).sum()) > 5


def test_the_graph_takes_any_number_of_images_with_normalisation_inside(g, file) -> None:
    function = OnnxFunction(file.read_bytes())
    for count in (1, 5):
        x = torch.rand(count, 1, 8, 8)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(function(x.numpy())), g.base(x), rtol=1e-4, atol=1e-4
            )


def test_the_card_says_what_the_graph_is(g, file) -> None:
    card = json.loads(file.with_suffix(".json").read_text())
    assert card["noise"] == {"name": "gaussian", "sigma": 0.25}
    assert (card["num_classes"], card["image_shape"]) == (10, [1, 8, 8])
    assert card["model_hash"] == base_hash(g.base)
    assert card["compared_with_onnxruntime"] is True


def test_a_record_names_the_graph(file, tmp_path) -> None:
    h, images = load_onnx(file), DATA.test.subset([0, 1])
    settings = CertifySettings(n0=20, n=200)
    log = certify_dataset(h, images, tmp_path / "a.jsonl", settings, progress=False)
    card = json.loads(file.with_suffix(".json").read_text())
    assert log.provenance["model"]["function"] == {"name": "net.onnx", "sha256": card["sha256"]}
    assert np.array_equal(log.counts, certify(h, images, n0=20, n=200).counts.numpy())
    assert pickle.loads(pickle.dumps(h.base.function)).content == file.read_bytes()


def test_files_that_do_not_belong_together_are_refused(file, tmp_path) -> None:
    copy, card = tmp_path / "model.onnx", tmp_path / "model.json"
    copy.write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="got no such card; of a graph of others"):
        load_onnx(copy)
    with pytest.raises(ValueError, match="got no such file"):
        load_onnx(tmp_path / "other.onnx")
    said = file.with_suffix(".json").read_text()
    card.write_text(said)
    assert load_onnx(tmp_path).num_classes == 10
    copy.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(RecordError, match=r"expected the graph that .*model\.json is about"):
        load_onnx(copy)
    card.write_text("{")
    with pytest.raises(RecordError, match="expected JSON"):
        load_onnx(copy)
    card.write_text("{}")
    with pytest.raises(RecordError, match="expected a card of the format rsmooth-onnx-1"):
        load_onnx(copy)


def test_what_is_no_graph_is_refused(g) -> None:
    with pytest.raises(ValueError, match="expected an ONNX graph, got what onnxruntime refuses"):
        OnnxFunction(b"no graph")
    function = SmoothedClassifier.from_function(lambda x: x, 0.25, 10, name="mine")
    with pytest.raises(ValueError, match="expected a network of torch to export, got the function"):
        export_onnx(function, "model.onnx", (1, 8, 8))
    with pytest.raises(ValueError, match=r"expected shape \(C, H, W\)"):
        export_onnx(g, "model.onnx", (1, 8, 8, 8))
    with pytest.raises(ValueError, match=r"expected shape \(C, H, W\)"):
        export_onnx(g, "model.onnx", (1, 8))
    with pytest.raises(ValueError, match=r"got \(C, H, W\) = \(3, 8, 8\), of which it says: Given"):
        export_onnx(g, "model.onnx", (3, 8, 8))


@pytest.mark.parametrize("said", [b'{"rows": []}', b"[", b"\xff"])
def test_the_card_replaces_no_file_of_others(g, said: bytes, tmp_path) -> None:
    """attack.json beside attack.onnx, say: nobody named it."""
    (tmp_path / "attack.json").write_bytes(said)
    with pytest.raises(ValueError, match=r"expected .*attack\.json to be free for the card of att"):
        export_onnx(g, tmp_path / "attack.onnx", (1, 8, 8))
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [said]


def test_networks_that_cannot_be_exported_leave_no_file(tmp_path) -> None:
    class Branching(nn.Module):
        def forward(self, x):
            flat = x.flatten(1)
            return flat if float(flat.sum()) > 0 else -flat

    g = SmoothedClassifier(Branching(), 0.25, 4)
    with pytest.raises(ValueError, match=r"expected a network that torch\.onnx exports, got Bran"):
        export_onnx(g, tmp_path / "model.onnx", (1, 2, 2))
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_another_network_is_refused(g, file, tmp_path, monkeypatch) -> None:
    """Here the graph of other weights, in place of what an exporter with a fault might give."""
    monkeypatch.setattr("rsmooth.models.onnx_files._graph", lambda *_: file.read_bytes())
    torch.manual_seed(1)
    base = MODELS.create("small-cnn", in_channels=1, width=4)
    with pytest.raises(ValueError, match="expected a graph with the logits"):
        export_onnx(SmoothedClassifier(base, 0.25, 10), tmp_path / "m.onnx", (1, 8, 8))
    assert not list(tmp_path.iterdir())


def test_without_onnx(g, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"pip install 'rsmooth\[onnx\]'"):
        export_onnx(g, "model.onnx", (1, 8, 8))
