"""One optimiser step: the same result by the faster ways, on the views that it names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.defenses import Trainer
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.meter import Totals
from rsmooth.training.steps import Stepper, memory_format, with_epsilon
from tests.training.helpers import ATTACK, BASELINE, classifier, images, trained, weights


@pytest.mark.parametrize(("name", "value"), [("fold_attack", False), ("channels_last", False)])
def test_faster_ways_to_compute_the_same_give_the_same(name: str, value: bool) -> None:
    fast, plain = trained(Trainer(**BASELINE)), trained(Trainer(**{**BASELINE, name: value}))
    assert torch.allclose(fast, plain, atol=1e-4)


def test_the_attack_meets_a_folded_copy_unless_it_is_turned_off() -> None:
    class Spy(Trainer):
        def training_points(self, g, x, y, noise, attack):  # type: ignore[no-untyped-def]
            kinds.update(type(layer).__name__ for layer in g.base.modules())
            return super().training_points(g, x, y, noise, attack)

    for fold in (True, False):
        kinds: set[str] = set()
        trained(Spy(**{**BASELINE, "fold_attack": fold}))
        assert ("BatchNorm2d" not in kinds) == fold


def stepper(**options: Any) -> tuple[Stepper, SmoothedClassifier, Callable[[float], None]]:
    """A stepper, its classifier, and a function that makes one step of a learning rate."""
    g, data = classifier("mlp"), images(6)
    made = Stepper(Trainer(**options), g, Ranks(), "float32")
    x = data.images.float() / 255

    def step(lr: float, scale: float = 1 / 6) -> None:
        noise = torch.zeros_like(x)[:, None]
        made.step(x, data.labels, noise, data.index, lr=lr, attack=None, scale=scale)

    return made, g, step


def test_a_step_moves_the_weights_by_the_learning_rate_and_counts_the_images() -> None:
    made, g, step = stepper(weight_decay=0.0)
    before = weights(g)
    step(0.0)
    assert torch.equal(weights(g), before)
    assert Totals(made.meter, Ranks()).images == 6
    gradient = torch.cat([own.grad.flatten() for own in made.parameters if own.grad is not None])
    step(0.1)
    assert not torch.equal(weights(g), before)
    assert bool(gradient.any())


def test_clipping_bounds_the_whole_gradient() -> None:
    made, _, step = stepper(clip_grad_norm=0.01)
    step(0.1)
    norms = [own.grad.norm() for own in made.parameters if own.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(0.01, rel=1e-3)


def test_nothing_to_train_is_refused() -> None:
    g = classifier()
    g.requires_grad_(False)
    with pytest.raises(ValueError, match="expected parameters to train, got none"):
        Stepper(Trainer(), g, Ranks(), "float32")


def test_another_epsilon_is_another_attack() -> None:
    assert with_epsilon(ATTACK, 0.25) == SmoothAdvPGD(epsilon=0.25, steps=2)
    assert ATTACK.epsilon == 0.5
    assert with_epsilon(None, 0.25) is None


def test_channels_last_holds_within_the_context_only() -> None:
    base = classifier(channels=3).base
    convolution = next(layer for layer in base.modules() if isinstance(layer, torch.nn.Conv2d))
    for wanted in (True, False):
        with memory_format(base, wanted):
            there = convolution.weight.is_contiguous(memory_format=torch.channels_last)
            assert there == wanted
        assert convolution.weight.is_contiguous()


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("before", [torch.channels_last, torch.contiguous_format])
def test_a_training_leaves_the_layout_as_it_was_and_no_gradients(
    channels_last: bool, before: torch.memory_format
) -> None:
    g = classifier(channels=3)
    g.base.register_buffer("blur", torch.rand(2, 3, 2, 2))
    g.base.register_buffer("group", torch.rand(2, 3, 2, 2, 2).transpose(0, 1))  # no layout of these
    for own in (*g.base.parameters(), g.base.blur):
        own.data = own.data.contiguous(memory_format=before) if own.ndim == 4 else own.data
    strides = {name: own.stride() for name, own in g.base.state_dict().items()}
    Trainer(epochs=1, batch_size=12, channels_last=channels_last).fit(
        g, images(channels=3), progress=False
    )
    assert {name: own.stride() for name, own in g.base.state_dict().items()} == strides
    assert [own.grad for own in g.parameters()] == [None] * len(list(g.parameters()))


@pytest.mark.parametrize("fold", [True, False])
def test_an_epoch_begins_with_the_weights_that_the_last_one_left(fold: bool) -> None:
    """Also for a method that looked at g after its last pass, so that a resumed run sees alike."""
    g, data, apart = classifier(), images(12), list[float]()

    class Late(Trainer):
        searches = True

        def losses(self, batch):  # type: ignore[no-untyped-def]
            log_probs = batch.log_probs(batch.x.unsqueeze(1) + batch.noise)
            batch.g.log_probs(batch.x.unsqueeze(1))
            return self.loss(log_probs, batch.y)

        def sample_weights(self, start):  # type: ignore[no-untyped-def]
            points = (data.images.float() / 255).unsqueeze(1)
            g.eval()
            apart.append(float((start.g.log_probs(points) - g.log_probs(points)).abs().max()))

    trainer = Late(epochs=3, batch_size=6, fold_attack=fold)
    trainer.fit(g, data, progress=False)
    assert len(apart) == 3
    assert max(apart) < 1e-5
