"""One network of a file, as a checkpoint that opens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rsmooth.doctor.conversion import convert
from rsmooth.doctor.entries import entries
from rsmooth.models import load_checkpoint

from .helpers import digits_sample, trained, weights


@pytest.mark.parametrize("constants", [False, True])
def test_a_converted_file_opens_as_the_same_network(tmp_path: Path, constants: bool) -> None:
    state = weights("1.module.")
    if constants:
        state |= {"0.mean": torch.tensor([0.5]), "0.std": torch.tensor([0.5])}
    [one] = entries({"theirs": [state]})
    out = tmp_path / "plain.pth"
    convert(one, "ab12", Path("odd.bin"), out)
    base = load_checkpoint(out, **({} if constants else {"normalize": ((0.5,), (0.5,))}))
    x = digits_sample().x[:8]
    assert torch.equal(base(x), trained()(x))
    content = torch.load(out, weights_only=True)
    assert content["origin"] == {"file": "odd.bin", "sha256": "ab12", "entry": "theirs.0"}


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    half = {k: t.half() if t.is_floating_point() else t for k, t in weights().items()}
    convert(entries(half)[0], "", Path("a"), tmp_path / "b.pth")
    state = torch.load(tmp_path / "b.pth", weights_only=True)["state_dict"]
    assert {t.dtype for t in state.values()} == {torch.float32, torch.int64}


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    [odd] = entries({"odd.weight": torch.ones(2, 3)})
    with pytest.raises(ValueError, match="expected a network of rsmooth to convert"):
        convert(odd, "", Path("a"), tmp_path / "b.pth")
    (tmp_path / "b.pth").write_text("x")
    with pytest.raises(ValueError, match=r"expected a new file, got .*b\.pth, which is there"):
        convert(entries(weights())[0], "", Path("a"), tmp_path / "b.pth")
