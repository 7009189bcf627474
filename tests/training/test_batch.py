"""What a method is given for a mini-batch, and what it must return."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.bounds import margin_bounds, pixel_box
from rsmooth.defenses import Trainer
from rsmooth.noise import Gaussian, Uniform
from rsmooth.objectives import naive
from rsmooth.training import Batch
from tests.training.helpers import CLASSES, classifier, images, trained, weights

OPTIONS: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 12,
    "num_noise": 2,
    "lr": 0.05,
    "warmup_epochs": 2,
    "precision": "float32",
}


def seen(look: Callable[[Batch], Any], g: Any = None, **options: Any) -> list[Any]:
    """What ``look`` makes of each batch of a run."""
    found: list[Any] = []

    @dataclass(frozen=True, kw_only=True)
    class Looking(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            found.append(look(batch))
            return super().losses(batch)

    fit = {key: options.pop(key) for key in ("extras", "unlabelled") if key in options}
    Looking(**{**OPTIONS, **options}).fit(g or classifier(), images(), progress=False, **fit)
    return found


def test_the_default_is_training_points_and_loss() -> None:
    """Written out by hand, it gives the same weights."""

    @dataclass(frozen=True, kw_only=True)
    class ByHand(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            assert batch.attack is not None
            x_adv = batch.attack(batch.g, batch.x, batch.y, noise=batch.noise, validate=False)
            assert torch.equal(x_adv, batch.perturb())
            return self.loss(batch.log_probs(x_adv.unsqueeze(1) + batch.noise), batch.y)

    attack = SmoothAdvPGD(epsilon=0.5, steps=2)
    assert torch.equal(
        trained(ByHand(attack=attack, **OPTIONS)), trained(Trainer(attack=attack, **OPTIONS))
    )


def test_a_batch_says_where_the_run_is_and_what_the_noise_is() -> None:
    found = seen(
        lambda batch: (batch.epoch, batch.progress, batch.sigma, batch.attack.epsilon),
        attack=PGD(epsilon=0.4, steps=1),
    )
    assert [where[0] for where in found] == [0] * 4 + [1] * 4
    assert [where[1] for where in found] == [k / 4 for k in range(8)]
    assert {where[2] for where in found} == {0.25}
    assert [where[3] for where in found] == [0.2] * 4 + [0.4] * 4


def test_epsilon_may_grow_from_step_to_step() -> None:
    found = seen(
        lambda batch: batch.attack.epsilon, attack=PGD(epsilon=0.4, steps=1), warmup_per="step"
    )
    assert found == pytest.approx([0.4 * k / 4 / 2 for k in range(8)])


def test_the_noise_is_of_the_classifiers_distribution() -> None:
    g = classifier("mlp").around(classifier("mlp").base)
    g.noise = Uniform(0.5)
    found = seen(lambda batch: (batch.distribution, batch.noise.abs().max().item()), g)
    assert {where[0] for where in found} == {Uniform(0.5)}
    assert 0.45 < max(where[1] for where in found) <= 0.5
    with pytest.raises(ValueError, match="expected Gaussian noise where sigma is asked for"):
        seen(lambda batch: batch.sigma, g)


def test_without_noise_none_is_drawn() -> None:
    g = classifier("mlp", sigma=0.0)
    assert g.noise == Gaussian(0.0)
    assert seen(lambda batch: bool(batch.noise.any()), g) == [False] * 8


def test_extras_follow_their_images() -> None:
    data = images()
    columns = {"row": torch.arange(24), "soft": torch.rand(24, CLASSES)}
    found = seen(lambda batch: (batch.ids, dict(batch.extras)), extras=columns)
    for ids, extras in found:
        rows = torch.stack([(data.index == number).nonzero().flatten()[0] for number in ids])
        assert torch.equal(extras["row"], rows)
        assert torch.equal(extras["soft"], columns["soft"][rows])
    with pytest.raises(ValueError, match=r"expected extras\['row'\] with one row per training"):
        seen(lambda batch: None, extras={"row": torch.arange(23)})


def test_drawn_numbers_belong_to_image_and_epoch_and_purpose() -> None:
    """The same whatever the mini-batches, uniform by a Kolmogorov-Smirnov bound (1e-6)."""

    def by_image(batch: Batch) -> dict[tuple[int, int], Tensor]:
        drawn = batch.uniform("mix", 3)
        assert (drawn.dtype, drawn.shape) == (torch.float64, (len(batch.x), 3))
        assert not torch.equal(drawn, batch.uniform("other", 3))
        return {(batch.epoch, int(one)): row for one, row in zip(batch.ids, drawn, strict=True)}

    runs = [seen(by_image, num_noise=m, batch_size=size) for m, size in ((1, 5), (3, 12))]
    first, second = ({key: row for part in run for key, row in part.items()} for run in runs)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    everything = torch.cat(list(first.values())).sort().values
    even = (torch.arange(len(everything)) + 0.5) / len(everything)
    assert len(everything) == 24 * 2 * 3
    assert (everything - even).abs().max() < 2.69 / len(everything) ** 0.5  # 2 exp(-2 x 2.69^2)
    assert 0 <= everything.min() < everything.max() < 1


def test_the_attacked_view_follows_batch_norm_from_pass_to_pass() -> None:
    """The folded copy is as old as the last pass in train mode, and the plain view has no age."""

    def look(batch: Batch) -> tuple[bool, bool]:
        point = batch.x.unsqueeze(1)
        before = batch.g.log_probs(point)
        batch.log_probs(point + 0.1)
        after = batch.g.log_probs(point)
        fresh = g.around(g.base).eval().log_probs(point)
        batch.module.train()
        return torch.equal(before, after), torch.allclose(after, fresh, atol=1e-5)

    for fold in (True, False):
        g = classifier()
        found = seen(look, g, attack=PGD(epsilon=0.1, steps=1), fold_attack=fold)
        assert found == [(False, True)] * 8


def test_nothing_that_looks_through_the_view_trains_the_weights() -> None:
    found = seen(
        lambda batch: (batch.g.training, batch.g.log_probs(batch.x[:, None]).requires_grad),
    )
    assert found == [(False, False)] * 8


def test_metrics_are_those_of_the_first_pass_and_absent_without_one() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twice(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            losses = super().losses(batch)
            batch.log_probs(torch.zeros_like(batch.x).unsqueeze(1))
            return losses

    @dataclass(frozen=True, kw_only=True)
    class Never(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            return batch.module(batch.x).square().mean(dim=1)

    rows = [
        trainer(**OPTIONS).fit(classifier("mlp"), images(), progress=False)[0]
        for trainer in (Trainer, Twice, Never)
    ]
    assert rows[0]["train_accuracy"] == rows[1]["train_accuracy"]
    assert "train_accuracy" not in rows[2]
    assert rows[2]["images"] == 24


@pytest.mark.parametrize(
    ("result", "found"),
    [
        (lambda batch: batch.log_probs(batch.x[:, None]).mean(), r"\(\)"),
        (lambda batch: 0.5, "float"),
    ],
)
def test_a_loss_that_is_not_one_per_image_is_refused(result: Any, found: str) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wrong(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            return result(batch)

    with pytest.raises(ValueError, match=rf"one loss per image \(6,\), got {found}"):
        Wrong(**OPTIONS).fit(classifier(), images(), progress=False)


@pytest.mark.parametrize("fold_attack", [True, False])
def test_a_loss_of_the_frozen_view_is_refused(fold_attack: bool) -> None:
    class Frozen(Trainer):
        def losses(self, batch: Batch) -> Tensor:
            return -batch.g.log_probs(batch.x[:, None])[:, 0, 0]

    attack = PGD(epsilon=0.1, steps=1)
    with pytest.raises(ValueError, match=r"expected losses\(batch\) to depend on the weights"):
        Frozen(**OPTIONS, attack=attack, fold_attack=fold_attack).fit(
            classifier(), images(), progress=False
        )


def test_points_are_of_the_whole_batch_at_first() -> None:
    """Further passes may be of some of its images."""

    @dataclass(frozen=True, kw_only=True)
    class Some(Trainer):
        kind: str

        def losses(self, batch: Batch) -> Tensor:
            if self.kind == "flat":
                batch.log_probs(batch.x)
            if self.kind == "some":
                batch.log_probs(batch.x[:2, None])
            whole = batch.log_probs(batch.x[:, None])
            return naive(whole, batch.y) + naive(batch.log_probs(batch.x[:2, None]), batch.y[:2])[0]

    for kind, got in (("flat", r"\(6, 1, 8, 8\)"), ("some", r"\(2, 1, 1, 8, 8\)")):
        with pytest.raises(ValueError, match=rf"expected points \(6, M, 1, 8, 8\), got {got}"):
            trained(Some(**OPTIONS, kind=kind))
    trained(Some(**OPTIONS, kind="whole"))


def test_the_run_leaves_no_trace_of_the_views() -> None:
    g = classifier()
    Trainer(**OPTIONS, attack=PGD(epsilon=0.1, steps=1)).fit(g, images(), progress=False)
    assert not g.training
    assert all(parameter.requires_grad for parameter in g.base.parameters())
    assert bool(weights(g).isfinite().all())


def test_a_method_may_run_a_part_and_know_the_step() -> None:
    """In the mode of that part; the parts' passes are no first pass."""

    def look(batch: Batch) -> tuple[int, bool, bool]:
        whole = batch.module(batch.x)
        torch.testing.assert_close(batch.through("1", batch.module[0](batch.x)), whole)
        seen = batch.views.attacked_part("1")
        return batch.step, batch.first_log_probs is None, seen.training

    found = seen(look, classifier("mlp"))
    assert found == [(step, True, False) for step in range(8)]
    with pytest.raises(ValueError, match="expected a base classifier with a part denoiser"):
        seen(lambda batch: batch.through("denoiser", batch.x))
    half = seen(
        lambda batch: batch.through("1", batch.x).dtype, classifier("mlp"), precision="bfloat16"
    )
    assert set(half) == {torch.float32}


def test_figures_are_noted_per_image_or_as_one_number() -> None:
    """Their means are in the metrics under train_."""

    @dataclass(frozen=True, kw_only=True)
    class Noting(Trainer):
        figures = ("even", "share")

        def losses(self, batch: Batch) -> Tensor:
            batch.note(even=batch.y % 2 == 0, share=batch.progress)
            return super().losses(batch)

    history = Noting(**OPTIONS).fit(classifier(), images(), progress=False)
    assert [row["train_even"] for row in history] == [pytest.approx(2 / 3)] * 2
    assert [row["train_share"] for row in history] == [pytest.approx(0.375), pytest.approx(1.375)]


def test_bounds_are_traced_once_and_are_of_the_present_weights() -> None:
    def look(batch: Batch) -> Any:
        done = batch.bounds(pixel_box(batch.x, 0.01))
        module = batch.module
        expected = margin_bounds(module, batch.x, batch.y, epsilon=0.01, method="ibp")
        torch.testing.assert_close(done.margins(batch.y, "ibp"), expected)
        return batch.views.graph()

    graphs = seen(look)
    assert len(graphs) == 8
    assert all(graph is graphs[0] for graph in graphs)
