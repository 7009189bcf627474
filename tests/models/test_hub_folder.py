"""A classifier as a folder for the Hub: it comes back as it was; what was changed is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rsmooth import MODELS, SmoothedClassifier, load_dataset
from rsmooth.certify import CertifySettings, certified_card, certify_dataset
from rsmooth.config.folder import model_path
from rsmooth.models import load_model, model_card
from rsmooth.noise import Uniform
from rsmooth.plumbing.errors import RecordError
from rsmooth.plumbing.files import replace_file

FILES = ["README.md", "config.json", "model.safetensors"]


def classifier(seed: int = 0, **options) -> SmoothedClassifier:
    torch.manual_seed(seed)
    base = MODELS.create("small-cnn", in_channels=1, width=2, normalize=((0.1,), (0.3,)))
    return SmoothedClassifier(base.eval(), num_classes=10, **(options or {"sigma": 0.25}))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("options", [{"sigma": 0.25}, {"noise": Uniform(0.1)}])
def test_a_folder_is_what_was_saved(tmp_path, options) -> None:
    g = classifier(**options)
    g.save(f"{tmp_path}/hub/")
    assert names(tmp_path / "hub") == FILES
    x = torch.rand(2, 1, 8, 8)
    for loaded in (
        SmoothedClassifier.load(tmp_path / "hub"),
        load_model(f"{tmp_path}/hub/"),
        SmoothedClassifier.load(tmp_path / "hub" / "model.safetensors"),
        SmoothedClassifier(
            MODELS.create("ensemble", members=[str(tmp_path / "hub")]).members[0],
            num_classes=10,
            noise=g.noise,
        ),
    ):
        assert loaded.noise == g.noise
        assert torch.equal(loaded.base.eval()(x), g.base(x))
    assert model_path(tmp_path / "hub", "last") == tmp_path / "hub"
    assert model_card(str(tmp_path / "hub"))["noise"] == g.noise.record()


def test_the_bytes_are_the_same_each_time(tmp_path) -> None:
    for name in ("a", "b"):
        classifier().save(f"{tmp_path}/{name}/")
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_files_that_do_not_belong_together_are_refused(tmp_path) -> None:
    classifier().save(f"{tmp_path}/a/")
    classifier(seed=1).save(f"{tmp_path}/b/")
    config, weights = (tmp_path / "a" / name for name in ("config.json", "model.safetensors"))
    said, own = config.read_text(), weights.read_bytes()
    config.write_text(json.dumps({**json.loads(said), "sigma": 0.5}))
    with pytest.raises(RecordError, match="to say the same, got other values of sigma"):
        SmoothedClassifier.load(tmp_path / "a")
    config.write_text(said)
    weights.write_bytes((tmp_path / "b" / "model.safetensors").read_bytes())
    with pytest.raises(RecordError, match=r"expected the weights that .*config.json is about"):
        SmoothedClassifier.load(tmp_path / "a")
    weights.write_bytes(own[:-1] + bytes([own[-1] ^ 1]))
    with pytest.raises(RecordError, match="expected the weights"):
        SmoothedClassifier.load(tmp_path / "a")


def test_files_of_others_are_not_replaced(tmp_path) -> None:
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ValueError, match=r"README\.md of others, or edited"):
        classifier().save(f"{tmp_path}/")
    assert names(tmp_path) == ["README.md"]
    (tmp_path / "README.md").unlink()
    classifier().save(tmp_path)  # a folder that is there
    classifier(seed=1).save(tmp_path)  # our own files are
    assert model_card(str(tmp_path))["sha256"]
    with (tmp_path / "README.md").open("a") as file:
        file.write("license: MIT")
    with pytest.raises(ValueError, match="or edited; name a new folder"):
        classifier().save(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="which is a file"):
        classifier().save(f"{tmp_path}/file/")


@pytest.mark.parametrize("point", ["config.json", "model.safetensors", "README.md"])
def test_a_writing_that_was_stopped_can_be_done_again(point, tmp_path, monkeypatch) -> None:
    """Then the card of the earlier weights is not taken for one that somebody has edited."""
    classifier().save(f"{tmp_path}/a/")

    def stop(path, content) -> None:
        if path.name == point:
            raise KeyboardInterrupt
        replace_file(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("rsmooth.models.hub_folder.replace_file", stop)
        with pytest.raises(KeyboardInterrupt):
            classifier(seed=1, sigma=0.5).save(f"{tmp_path}/a/")
    classifier(seed=1, sigma=0.5).save(f"{tmp_path}/a/")
    assert SmoothedClassifier.load(tmp_path / "a").noise.scale_value == 0.5


def test_certificates_on_the_card_are_of_these_weights(tmp_path) -> None:
    g, data = classifier(), load_dataset("digits").test.subset(range(0, 60, 20))
    log = certify_dataset(
        g, data, tmp_path / "run.jsonl", CertifySettings(n0=20, n=200), progress=False
    )
    entry = certified_card(log, g, [0.0, 0.1])
    g.save(f"{tmp_path}/hub/", certified=[entry])
    assert model_card(str(tmp_path / "hub"))["certified"] == [entry]
    assert "Certified on 3 images of digits" in (tmp_path / "hub" / "README.md").read_text()
    loaded = SmoothedClassifier.load(tmp_path / "hub")
    assert certified_card(log, loaded, [0.0, 0.1]) == entry
    with pytest.raises(ValueError, match="expected certificates of the classifier that is saved"):
        classifier(seed=1).save(f"{tmp_path}/other/", certified=[entry])
    with pytest.raises(ValueError, match=r"rounded \(half=True\)"):
        g.save(f"{tmp_path}/other/", certified=[entry], half=True)
    assert not (tmp_path / "other").exists()
