"""Files: weights that fit or the reason why not, the published layout."""

import re
import warnings
import zipfile
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rsmooth.models import NORMALIZATIONS, atomic_save, load_checkpoint, load_weights, safe_load
from rsmooth.registry import MODELS, RegistryError
from rsmooth.smoothed import SmoothedClassifier


def published(net, path, *, prefix="1.", arch="cifar_resnet20", legacy=False, **changes):
    """A file as Cohen's and Salman's code write it: without the constants, with the optimiser."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    net(torch.rand(2, 3, 32, 32)).sum().backward()
    optimizer.step()
    weights = {f"{prefix}{name}": tensor for name, tensor in net.state_dict().items()}
    content = {
        "epoch": 90,
        "arch": arch,
        "state_dict": weights,
        "optimizer": optimizer.state_dict(),
        **changes,
    }
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.fixture
def net():
    torch.manual_seed(0)
    return MODELS.create("resnet20")[1]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.pth.tar"


# ---- published checkpoints


@pytest.mark.parametrize("prefix", ["1.", "1.module.", "module.1.", "module.", ""])
@pytest.mark.parametrize("legacy", [False, True])
def test_published_checkpoints_open_whatever_wrapped_them(net, path, prefix, legacy):
    published(net, path, prefix=prefix, legacy=legacy)
    with pytest.warns(match="has no checksums") if legacy else nullcontext():
        model = load_checkpoint(path, normalize="cifar10")
    assert not model.training
    x = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in NORMALIZATIONS["cifar10"])
    with torch.no_grad():
        torch.testing.assert_close(model(x), net.eval()((x - mean) / std))


def test_a_published_checkpoint_becomes_one_of_ours(net, path, tmp_path):
    base = load_checkpoint(published(net, path), normalize="cifar10-center")
    SmoothedClassifier(base, sigma=0.25, num_classes=10).save(tmp_path / "model.pt")
    loaded = SmoothedClassifier.load(tmp_path / "model.pt")
    assert loaded.base[0].std is None
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(loaded.base(x), base(x))


def test_the_choice_of_normalisation_matters(net, path):
    published(net, path)
    x = torch.rand(2, 3, 32, 32)
    outputs = [
        load_checkpoint(path, normalize=normalize)(x)
        for normalize in ("cifar10", "cifar10-center", None, ((0.5, 0.5, 0.5), (0.2, 0.2, 0.2)))
    ]
    assert all(not torch.allclose(a, b) for i, a in enumerate(outputs) for b in outputs[:i])


def test_normalize_must_be_said(net, path):
    with pytest.raises(
        ValueError, match=r'expected normalize, .*"cifar10" \(mean and std: .*"cifar10-center" '
    ):
        load_checkpoint(published(net, path))


def test_wider_heads_and_other_names_are_understood(path):
    torch.manual_seed(0)
    net = MODELS.create("resnet20", num_classes=100)[1]
    model = load_checkpoint(published(net, path), normalize="cifar10", num_classes=100)
    assert model(torch.rand(1, 3, 32, 32)).shape == (1, 100)
    published(MODELS.create("resnet8")[1], path, arch="a_name_nobody_knows")
    with pytest.raises(
        ValueError,
        match=r"expected arch to be one of cifar_.*got 'a_name_nobody_knows'.*give arch=",
    ):
        load_checkpoint(path, normalize="cifar10")
    assert (
        load_checkpoint(path, normalize="cifar10", arch="resnet8").architecture["name"] == "resnet8"
    )


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("cifar_resnet110", "resnet110"),
        ("imagenet32_resnet110", "resnet110"),
        ("cifar_resnet20", "resnet20"),
        ("resnet50", "resnet50"),
    ],
)
def test_every_published_name_has_its_architecture(arch, name, path):
    classes = {"imagenet32_resnet110": 1000}.get(arch, 10)
    model = MODELS.create(name, num_classes=classes)
    torch.save(
        {
            "epoch": 1,
            "arch": arch,
            "state_dict": {f"1.module.{k}": v for k, v in model[1].state_dict().items()},
            "optimizer": {},
        },
        path,
    )
    loaded = load_checkpoint(path, normalize="imagenet")
    assert loaded.architecture == {
        "name": name,
        "options": {"num_classes": classes, "normalize": "imagenet"},
    }


def test_a_class_count_that_differs_is_refused(net, path):
    with pytest.raises(ValueError, match=r"expected a model of 100 classes, got 10 .*replace_head"):
        load_checkpoint(published(net, path), normalize="cifar10", num_classes=100)


def test_an_architecture_that_does_not_fit_is_refused(net, path):
    published(net, path, arch="cifar_resnet110")
    with pytest.raises(
        ValueError, match=r"fit CifarResNet exactly, .*missing layer1.10.* and \d+ more.*check arch"
    ):
        load_checkpoint(path, normalize="cifar10")
    with pytest.raises(ValueError, match=r"unexpected layer1\.1\.bn1\.bias"):
        load_checkpoint(path, normalize="cifar10", arch="resnet8")


class Code:
    """An object whose unpickling would call a function."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<!DOCTYPE html><html>quota exceeded</html>",
            "is a web page, not the download behind it; download",
        ),
        (b"\n <html>", "is a web page"),
        (b"", "is empty"),
        (b"PK\x03\x04 no more", "is damaged or was cut off"),
        (b"some text", "is damaged, or needs code"),
    ],
)
def test_what_is_no_checkpoint_is_refused(path, content, message):
    path.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=f"expected a checkpoint of plain .*{re.escape(str(path))}, which {message}",
    ):
        load_checkpoint(path, normalize="cifar10")


@pytest.mark.parametrize("keep", [0.5, 0.99])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_checkpoint_is_refused(net, path, keep, legacy):
    whole = published(net, path, legacy=legacy).read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(ValueError, match="is damaged"):
        load_checkpoint(path, normalize="cifar10")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "model.pt"
    weights = torch.linspace(-1, 1, 500)
    atomic_save({"arch": "resnet20", "state_dict": {"weight": weights}}, path)
    return path, path.read_bytes(), weights


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_a_flipped_bit_or_a_cut_never_loads_as_something_else(sound, data):
    """torch.load alone takes most flipped bits for other weights."""
    path, whole, weights = sound
    damaged = bytearray(whole)
    place = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del damaged[place:]
    path.write_bytes(damaged)
    try:
        content = safe_load(path)
    except ValueError:
        return
    # What no checksum covers (padding, time stamps) changes nothing.
    assert len(damaged) == len(whole)
    assert set(content) == {"arch", "state_dict"}
    assert content["arch"] == "resnet20"
    assert torch.equal(content["state_dict"]["weight"], weights)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_not_run(net, path, capsys, legacy):
    published(net, path, legacy=legacy, extra=Code())
    with pytest.raises(ValueError, match=r"an object of \S*print beside its .* would run code"):
        load_checkpoint(path, normalize="cifar10")
    assert "executed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a state dict, or a dict with one under .*, got list"),
        ({"weights": 1}, r"expected a state dict, or a dict with one under .*, got weights;"),
        (
            {"arch": "cifar_resnet20", "state_dict": {"1.conv1.weight": torch.zeros(1, 2)}},
            "last layer's weights of resnet20 under fc",
        ),
    ],
)
def test_another_layout_is_refused(path, content, message):
    torch.save(content, path)
    with pytest.raises(ValueError, match=message):
        load_checkpoint(path, normalize="cifar10")


def test_our_own_files_are_pointed_to_their_loader(path):
    SmoothedClassifier(MODELS.create("resnet8"), 0.25, 10).save(path)
    with pytest.raises(
        ValueError, match=r"got .* 'rsmooth-model-1'; open it with SmoothedClassifier\.load"
    ):
        load_checkpoint(path, normalize="cifar10")


def test_a_missing_file_is_a_missing_file(path):
    with pytest.raises(FileNotFoundError):
        load_checkpoint(path, normalize="cifar10")


def test_a_plugin_that_is_no_classifier_is_refused(net, path):
    MODELS.register("test-bare")(lambda num_classes, normalize: nn.Linear(2, num_classes))
    try:
        with pytest.raises(
            ValueError, match=r"expected arch to name .*Classifier, got 'test-bare', a Linear"
        ):
            load_checkpoint(published(net, path), normalize="cifar10", arch="test-bare")
    finally:
        MODELS._entries.pop("test-bare")
    with pytest.raises(RegistryError):
        MODELS.get("test-bare")


# ---- load_weights


def linear_weights(**changes):
    return {"weight": torch.ones(2, 3), "bias": torch.ones(2), **changes}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"bias": torch.ones(2)}, "missing weight; check"),
        (linear_weights(extra=torch.ones(1)), "unexpected extra; check"),
        (linear_weights(bias=torch.ones(4)), r"wrong shape bias: expected \(2,\), got \(4,\)"),
        (linear_weights(bias=torch.tensor([1.0, float("nan")])), "NaN or infinite bias"),
        (linear_weights(weight=torch.full((2, 3), float("inf"))), "NaN or infinite weight"),
        (linear_weights(bias=[1, 2]), "not a tensor bias"),
        (
            {"w": torch.ones(2, 3), "bias": torch.ones(3)},
            "missing weight; unexpected w; wrong shape bias",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_none_is_loaded(weights, message):
    layer = nn.Linear(3, 2)
    before = {key: tensor.clone() for key, tensor in layer.state_dict().items()}
    with pytest.raises(
        ValueError, match=f"expected weights that fit Linear exactly, got from here: .*{message}"
    ):
        load_weights(layer, weights, source="here")
    assert all(torch.equal(before[key], tensor) for key, tensor in layer.state_dict().items())


def test_weights_that_fit_are_loaded():
    layer = nn.Linear(3, 2)
    load_weights(layer, linear_weights(), source="here")
    assert torch.equal(layer.weight, torch.ones(2, 3))


@pytest.mark.parametrize("entry", ["state_dict", "model", "net", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.module."])
def test_weights_are_taken_out_of_what_others_wrap_around_them(entry, prefix):
    weights = {prefix + name: tensor for name, tensor in linear_weights().items()}
    layer = nn.Linear(3, 2)
    load_weights(layer, weights if entry is None else {"epoch": 3, entry: weights}, source="here")
    assert torch.equal(layer.weight, torch.ones(2, 3))
    assert torch.equal(layer.bias, torch.ones(2))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # Constants of a layer that the network does not have: its images would be other ones.
        (
            {
                "0.mean": torch.zeros(1, 3, 1, 1),
                "1.weight": torch.ones(2, 3),
                "1.bias": torch.ones(2),
            },
            "unexpected 0.mean",
        ),
        ({"state_dict": {"module.w": torch.ones(2, 3)}}, "missing bias, weight; unexpected w"),
        (
            {"state_dict": {"module.weight": torch.ones(2, 4), "module.bias": torch.ones(2)}},
            "shape",
        ),
        ({"model": {"epoch": 3}}, "a dict with one under state_dict, .*, in here, got model"),
        (
            {"net": linear_weights(), "model": linear_weights()},
            "expected one state dict in here, got net and model",
        ),
        (
            {f"{each}.{name}": w for each in "ab" for name, w in linear_weights().items()},
            "expected one network in here, got several, under a., b.",
        ),
    ],
)
def test_wrapped_weights_have_to_fit_as_well(content, message):
    layer = nn.Linear(3, 2)
    before = layer.weight.clone()
    with pytest.raises(ValueError, match=message):
        load_weights(layer, content, source="here")
    assert torch.equal(layer.weight, before)


def test_weights_that_are_loaded_within_autocast_count_at_once():
    """Torch keeps the rounded ones until the outermost autocast ends."""
    layer, x = nn.Linear(3, 2), torch.ones(1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        before = layer(x)
        load_weights(layer, linear_weights(), source="here")
        assert layer(x).tolist() == [[4.0, 4.0]] != before.tolist()


# ---- safe_load


def test_a_part_that_is_marked_as_a_folder_is_refused(tmp_path):
    """No checksum covers the mark, and torch then leaves the tensor as memory was."""
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.arange(64.0)}, path)
    with zipfile.ZipFile(path) as file:
        start, parts = file.start_dir, file.infolist()
    whole = path.read_bytes()
    place = start
    for part in parts:
        place = whole.index(b"PK\x01\x02", place) + 38  # where its attributes are
        damaged = bytearray(whole)
        damaged[place] |= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"weights\.pt, which") as error:
            safe_load(path)
        assert part.filename in str(error.value.__cause__)


def test_two_parts_of_one_name_are_refused(tmp_path):
    """Zipfile tests the last of them; torch may read the first."""
    path = tmp_path / "weights.pt"
    torch.save({"w": torch.arange(64.0)}, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(file.namelist()[0], file.read(file.namelist()[0]))
    with pytest.raises(ValueError, match=r"weights\.pt, which") as error:
        safe_load(path)
    assert "parts of distinct names, got one twice" in str(error.value.__cause__)
