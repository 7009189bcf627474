"""Weights in .safetensors: the same classifier again, rounded once, and refusals that say why."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth.models.safetensors import in_half, read_tensors, write_tensors
from rsmooth.noise import Uniform
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.models.helpers import build

pytest.importorskip("safetensors")


def classifier(**options: object) -> SmoothedClassifier:
    base, _ = build("patch-cnn", normalize=((0.3,), (0.6,)), widths=(8, 12), **options)
    return SmoothedClassifier(base, noise=Uniform(0.5), num_classes=7, num_noise=3)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
@pytest.mark.parametrize("half", [False, True])
def test_a_saved_classifier_is_the_same_or_rounded_once(
    tmp_path: Path, name: str, half: bool
) -> None:
    g = classifier()
    for tensor in g.base.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.1, 1.0)
    g.save(tmp_path / name, half=half, remark="kept")
    again = SmoothedClassifier.load(tmp_path / name)
    assert (again.noise, again.num_classes, again.num_noise) == (g.noise, 7, 3)
    assert not again.training
    old, new = g.base.state_dict(), again.base.state_dict()
    assert {tensor.dtype for tensor in new.values()} == {torch.float32, torch.int64}
    for key, tensor in old.items():
        rounded = half and tensor.ndim >= 2 and tensor.is_floating_point()
        expected = tensor.half().float() if rounded else tensor
        assert torch.equal(new[key], expected)
        assert torch.equal(new[key], tensor) == (not rounded)


def test_a_file_in_half_takes_two_bytes_per_weight(tmp_path: Path) -> None:
    g = SmoothedClassifier(MODELS.create("patch-cnn"), sigma=0.25, num_classes=10)
    g.save(tmp_path / "a.safetensors", half=True)
    count = sum(own.numel() for own in g.base.parameters())
    assert 2 * count < (tmp_path / "a.safetensors").stat().st_size < 2 * count + 30_000 < 5_000_000


def test_the_same_classifier_gives_the_same_bytes(tmp_path: Path) -> None:
    g = classifier()
    written = set()
    for number in range(8):
        g.save(tmp_path / f"{number}.safetensors")
        written.add((tmp_path / f"{number}.safetensors").read_bytes())
    assert len(written) == 1


def test_weights_beyond_the_range_of_half_are_refused() -> None:
    with pytest.raises(OverflowError, match="got larger ones in a; save them as they are"):
        in_half({"a": torch.full((2, 2), 1e5)})
    assert in_half({"a": torch.full((2,), 1e5)})["a"].dtype == torch.float32


def test_what_is_no_model_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"w": torch.ones(2)}, {"x": 1})
    assert read_tensors(path)[1] == {"x": 1}
    with pytest.raises(ValueError, match=r"expected a model written by SmoothedClassifier\.save"):
        SmoothedClassifier.load(path)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"which is damaged or of another kind .*write it again"):
        SmoothedClassifier.load(path)
    from safetensors.torch import save_file

    save_file({"w": torch.ones(2)}, path)
    with pytest.raises(ValueError, match=r"the weights of others .* safetensors.torch.load_file"):
        SmoothedClassifier.load(path)
    with pytest.raises(FileNotFoundError):
        SmoothedClassifier.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("half", [False, True])
def test_members_that_are_one_network_are_saved_too(tmp_path: Path, half: bool) -> None:
    """The format refuses tensors that share memory."""
    base = classifier().base
    twice = MODELS.create("ensemble", members=[base, base])
    SmoothedClassifier(twice, 0.25, 7).save(tmp_path / "twice.safetensors", half=half)
    found = SmoothedClassifier.load(tmp_path / "twice.safetensors").base.state_dict()
    for name, tensor in base.state_dict().items():
        kept = tensor.half() if half and tensor.is_floating_point() and tensor.ndim >= 2 else tensor
        for member in (0, 1):
            assert torch.equal(found[f"members.{member}.{name}"], kept.to(tensor.dtype))


@pytest.mark.parametrize("text", ["[1]", "3", "null", '"text"', "{"])
def test_an_entry_that_holds_no_values_by_name_is_refused(tmp_path: Path, text: str) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"rsmooth": text})
    with pytest.raises(ValueError, match=r"expected a model written by SmoothedClassifier\.save"):
        SmoothedClassifier.load(tmp_path / "a.safetensors")


def test_a_changed_number_or_value_is_found(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    weights = {"w": torch.arange(4.0), "count": torch.tensor(3), "none": torch.empty(0, 2)}
    content = {"sigma": 0.25, "rows": {2: "a", 10: "b"}}
    write_tensors(path, weights, content)
    read, said = read_tensors(path)
    assert said == {"sigma": 0.25, "rows": {"2": "a", "10": "b"}}
    assert all(torch.equal(read[name], tensor) for name, tensor in weights.items())
    whole = path.read_bytes()
    for changed in (
        whole.replace(b"0.25", b"0.50"),
        whole.replace(b"\x80?", b"\x80@"),  # of 1.0
        whole.replace(b'"w"', b'"v"'),
    ):
        assert changed != whole
        path.write_bytes(changed)
        with pytest.raises(ValueError, match=r"that fit their checksum in .* the file is damaged"):
            read_tensors(path)
