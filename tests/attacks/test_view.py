"""What a search sees: the model itself, or a copy that is the same function up to rounding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rsmooth.attacks.ddn import DDN
from rsmooth.attacks.pgd import SmoothAdvPGD
from rsmooth.attacks.view import PrecisionView, quick_view
from rsmooth.models import precision as models_precision
from rsmooth.models.folding import FoldedConv2d
from rsmooth.plumbing import machine
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier


@pytest.fixture(scope="module")
def g() -> SmoothedClassifier:
    """A small network whose batch norm is not the identity."""
    torch.manual_seed(0)
    base = MODELS.create("resnet8", num_classes=4)
    with torch.no_grad():
        for _ in range(3):
            base(torch.rand(16, 3, 16, 16) + 0.1 * torch.randn(16, 3, 16, 16))
    return SmoothedClassifier(base.train(), 0.25, 4)


@pytest.fixture
def x() -> Tensor:
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def native(monkeypatch: pytest.MonkeyPatch, found: bool) -> None:
    monkeypatch.setattr(models_precision, "computes_bfloat16", lambda device: found)
    monkeypatch.setattr(models_precision, "SMALLEST_MODEL", 1.0)


def test_float32_is_the_model_itself(g: SmoothedClassifier, x: Tensor) -> None:
    assert quick_view(g, x, "float32") is g
    attack, y = SmoothAdvPGD(epsilon=0.5, steps=2), torch.arange(5) % 4
    noise = g.sample_noise(x, 2)
    assert attack(g, x, y, noise=noise).equal(attack(g, x, y, noise=noise, precision="float32"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_auto_is_the_same_function_where_bfloat16_is_not_native(
    g: SmoothedClassifier, x: Tensor, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, found=dtype == torch.float64)  # which no machine computes in bfloat16
    double = g.around(MODELS.create("resnet8", num_classes=4))
    double.base.load_state_dict(g.base.state_dict())
    double.base.to(dtype)
    x = x.to(dtype)
    view = quick_view(double, x, "auto")
    assert any(isinstance(part, FoldedConv2d) for part in view.modules())
    assert not any(part.training for part in view.modules())
    points = x.unsqueeze(1)
    close = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(
        view.log_probs(points), double.eval().log_probs(points), rtol=0, atol=close
    )
    attack, y = SmoothAdvPGD(epsilon=0.5, steps=3), torch.arange(5) % 4
    noise = double.sample_noise(x, 2, torch.Generator().manual_seed(0))
    found, exact = (
        attack(double, x, y, noise=noise, precision=precision)  # type: ignore[arg-type]
        for precision in ("auto", "float32")
    )
    torch.testing.assert_close(found, exact, rtol=0, atol=1e3 * close)


def test_bfloat16_rounds_the_answers_and_leads_the_search_as_far(
    g: SmoothedClassifier, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    native(monkeypatch, found=True)
    view = quick_view(g, x, "auto")
    points, exact = x.unsqueeze(1), quick_view(g, x, "float32")
    modes = [part.training for part in g.modules()]
    g.eval()
    rounded, plain = view.log_probs(points), exact.log_probs(points)
    assert rounded.dtype == torch.float32
    assert not rounded.equal(plain)
    torch.testing.assert_close(rounded, plain, rtol=0, atol=0.1)
    y = plain[:, 0].argmax(dim=1)
    for part, mode in zip(g.modules(), modes, strict=True):
        part.training = mode
    noise = torch.zeros(5, 1, 3, 16, 16)
    for attack in (SmoothAdvPGD(epsilon=0.5, steps=5), DDN(epsilon=0.5, steps=5)):
        losses = [
            -g.around(g.base.eval()).log_probs(found.unsqueeze(1))[range(5), 0, y].detach()
            for found in (
                attack(g, x, y, noise=noise, precision="bfloat16"),
                attack(g, x, y, noise=noise),
                x,
            )
        ]
        gained = [float((loss - losses[2]).mean()) for loss in losses[:2]]
        assert gained[0] > 0.8 * gained[1] > 0.0
    g.base.train()


def test_the_view_is_of_the_present_weights_and_leaves_the_model_as_it_is(x: Tensor) -> None:
    g = SmoothedClassifier(MODELS.create("resnet8", num_classes=4).train(), 0.25, 4)
    before = {name: value.clone() for name, value in g.state_dict().items()}
    first = quick_view(g, x, "bfloat16").log_probs(x.unsqueeze(1))
    assert all(part.training for part in g.modules())
    assert all(parameter.requires_grad for parameter in g.parameters())
    assert all(value.equal(before[name]) for name, value in g.state_dict().items())
    with torch.no_grad():
        for parameter in g.parameters():
            parameter.mul_(1.5)
    assert not quick_view(g, x, "bfloat16").log_probs(x.unsqueeze(1)).equal(first)


def test_frozen_noise_is_that_of_the_view_too(g: SmoothedClassifier, x: Tensor) -> None:
    view = quick_view(g, x, "bfloat16")
    assert view.frozen_sample(x) is None
    with g.frozen_noise(seed=3, num_noise=2):
        ours, theirs = g.frozen_sample(x), view.frozen_sample(x)
        assert ours is not None
        assert theirs is not None
        assert ours.equal(theirs)


class _Own(SmoothedClassifier):
    def log_probs(self, points: Tensor) -> Tensor:
        return super().log_probs(points).flip(2)


def test_a_classifier_of_another_kind_is_left_as_it_is(g: SmoothedClassifier, x: Tensor) -> None:
    own = _Own(g.base, 0.25, 4)
    assert quick_view(own, x, "auto") is own
    with pytest.raises(ValueError, match="plain SmoothedClassifier for bfloat16, got _Own"):
        quick_view(own, x, "bfloat16")
    assert isinstance(quick_view(g, x, "bfloat16"), PrecisionView)


class _ChannelsFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 4, 3), nn.Linear(4 * 14 * 14, 4)

    def forward(self, z: Tensor) -> Tensor:
        hidden: Tensor = self.first(z)
        return self.last(hidden.view(len(z), -1))  # type: ignore[no-any-return]


def test_a_base_that_needs_channels_first_is_left_as_it_is(x: Tensor) -> None:
    g = SmoothedClassifier(_ChannelsFirst(), 0.25, 4)
    assert quick_view(g, x, "auto") is g
    SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, torch.zeros(5).long(), precision="auto")


@pytest.mark.parametrize("precision", ["float16", "half", None])
def test_other_precisions_are_refused(g: SmoothedClassifier, x: Tensor, precision: Any) -> None:
    with pytest.raises(ValueError, match="precision to be one of float32, bfloat16, auto"):
        SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, torch.zeros(5).long(), precision=precision)


def test_tensors_of_inference_mode_are_searched(x: Tensor) -> None:
    with torch.inference_mode():
        base = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(784, 4))
    g = SmoothedClassifier(base, 0.25, 4)
    y = torch.zeros(5, dtype=torch.int64)
    found = SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, y, num_noise=1, precision="bfloat16")
    assert not found.equal(x)


def test_bfloat16_by_name_is_remarked_on_where_it_is_emulated(
    g: SmoothedClassifier, x: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "computes_bfloat16", lambda device: False)
    with pytest.warns(UserWarning, match="bfloat16 is only emulated by this cpu"):
        quick_view(g, x, "bfloat16")
