"""The meter: sums over mini-batches, what is known without predictions, noisy held-out accuracy."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from rsmooth.noise.distributions import Gaussian
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import VALIDATION, Draws
from rsmooth.training.meter import Meter, Totals, certified_share, evaluate
from tests.training.helpers import classifier, images

CPU = torch.device("cpu")


def test_mini_batches_add_up() -> None:
    meter = Meter(3, CPU)
    log_probs = torch.tensor([[[0.0, -1, -2], [-1, 0.0, -2]], [[-2, -1, 0.0], [-2, -1, 0.0]]])
    meter.add(torch.tensor([1.0, 2.0]), log_probs, torch.tensor([0, 2]))
    meter.add(torch.tensor([3.0]), log_probs[:1], torch.tensor([1]))
    totals = Totals(meter, Ranks())
    assert (totals.loss, totals.images, totals.predictions) == (6.0, 3, 6)
    assert totals.mean_loss == 2.0
    assert totals.right == 4
    assert totals.accuracy == pytest.approx(4 / 6)
    assert totals.predicted == [2, 2, 2]
    assert totals.labels == [1, 1, 1]


def test_noted_figures_are_averaged_over_the_images() -> None:
    meter = Meter(3, CPU, ("certified", "kappa"))
    y = torch.tensor([0, 2])
    meter.add(torch.ones(2), None, y, {"certified": torch.ones(2), "kappa": torch.full((2,), 0.5)})
    meter.add(torch.ones(1), None, y[:1], {"certified": torch.zeros(1), "kappa": torch.ones(1)})
    totals = Totals(meter, Ranks())
    assert totals.figures == {"certified": pytest.approx(2 / 3), "kappa": pytest.approx(2 / 3)}
    assert totals.labels == [2, 0, 1]
    assert Totals(Meter(3, CPU), Ranks()).figures == {}


@pytest.mark.parametrize("batch_size", [4, 30])
def test_the_certified_share_is_that_of_all_images_in_eval_mode(batch_size: int) -> None:
    g, data, modes = classifier().train(), images(10), []

    def certified(g, x, y):  # type: ignore[no-untyped-def]
        modes.append(g.base.training)
        return y == 0

    options = {"batch_size": batch_size, "device": CPU, "ranks": Ranks()}
    assert certified_share(g, data, certified, **options) == 0.4
    assert not any(modes)
    assert g.training


def test_without_a_pass_nothing_is_known_of_the_predictions() -> None:
    meter = Meter(3, CPU)
    meter.add(torch.tensor([1.0, 2.0]), None, torch.tensor([0, 2]))
    totals = Totals(meter, Ranks())
    assert totals.accuracy is None
    assert (totals.mean_loss, totals.labels) == (1.5, [1, 0, 1])
    assert Totals(Meter(3, CPU), Ranks()).mean_loss == 0


@pytest.mark.parametrize("batch_size", [4, 30])
def test_held_out_images_are_judged_at_one_keyed_copy_each(batch_size: int) -> None:
    g, data = classifier().train(), images(30)
    found = evaluate(g, data, seed=3, batch_size=batch_size, device=CPU, ranks=Ranks())
    assert g.training
    noise = Draws(3, VALIDATION).noise(data.index, 0, 1, data.images.shape[1:], Gaussian(0.25))
    with torch.no_grad():
        log_probs = g.eval().log_probs(data.images[:, None].float() / 255 + noise)[:, 0]
    right = log_probs.argmax(1) == data.labels
    assert found.accuracy == pytest.approx(float(right.float().mean()))
    loss = -log_probs[torch.arange(30), data.labels].mean()
    assert found.mean_loss == pytest.approx(float(loss), abs=1e-5)


@pytest.mark.parametrize("failing", [False, True])
def test_validation_leaves_modes_flags_and_statistics_as_they_were(failing: bool) -> None:
    g, data = classifier().train(), images(30)
    g.base[1].eval()  # type: ignore[index]  # a frozen part beside training ones
    modes = [part.training for part in g.modules()]
    buffers = {name: buffer.clone() for name, buffer in g.named_buffers()}
    state = torch.get_rng_state()

    def stop(module: object, given: object) -> None:
        raise RuntimeError("stop")

    handle = g.base[1].register_forward_pre_hook(stop) if failing else None  # type: ignore[index]
    with pytest.raises(RuntimeError, match="stop") if failing else nullcontext():
        evaluate(g, data, seed=3, batch_size=8, device=CPU, ranks=Ranks())
    if handle is not None:
        handle.remove()
    assert [part.training for part in g.modules()] == modes
    assert all(p.requires_grad for p in g.parameters())
    assert all(torch.equal(buffers[name], buffer) for name, buffer in g.named_buffers())
    assert torch.equal(torch.get_rng_state(), state)


def test_each_of_several_processes_takes_its_share() -> None:
    g, data = classifier(), images(30)
    whole = evaluate(g, data, seed=0, batch_size=7, device=CPU, ranks=Ranks())

    class Silent(Ranks):
        def total(self, sums: torch.Tensor) -> torch.Tensor:
            return sums

    parts = [
        evaluate(g, data, seed=0, batch_size=7, device=CPU, ranks=Silent(rank, 2))
        for rank in (0, 1)
    ]
    assert all(part.images < 30 for part in parts)
    assert sum(part.images for part in parts) == whole.images
    assert sum(part.right for part in parts) == whole.right
