"""Accuracy on a data set under attack: batches, abstentions, seeds."""

from __future__ import annotations

import io
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from rsmooth import ATTACKS
from rsmooth.attacks import PGD, to_foolbox
from rsmooth.certify import predict
from rsmooth.certify.run.header import model_hash
from rsmooth.data import ImageData
from rsmooth.evaluate import attack_data, audit, empirical, empirical_accuracy
from rsmooth.plumbing import progress
from rsmooth.records.log import ABSTAIN
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import base_labels, images, linear_net, smooth_net
from tests.certify.nets import half_space
from tests.certify.nets import images as grey


def test_a_data_set_is_attacked_in_batches_as_one() -> None:
    g = linear_net(sigma=0.05).float()
    pixels = (images(10) * 255).round().to(torch.uint8)
    y = base_labels(g, pixels.float() / 255)
    y[0] = 1 - y[0]
    data = ImageData(pixels, y, torch.arange(10), 2, "toy", "test")
    found = attack_data(g, data, None, n=100, batch_size=4)
    assert found == attack_data(g, data, None, n=100, batch_size=10)
    assert (found.epsilon, found.images) == (0.0, 10)
    assert 0 < found.accuracy <= 0.9
    assert found.accuracy + found.abstained <= 1.0
    assert found.record()["standard_error"] == pytest.approx(
        math.sqrt(found.accuracy * (1 - found.accuracy) / 10)
    )
    far = attack_data(g, data, PGD(epsilon=9.0, steps=5), n=100, num_noise=2, batch_size=4)
    assert (far.epsilon, far.accuracy) == (9.0, 0.0)


def test_the_shares_are_those_of_predict_under_the_numbers_of_the_images() -> None:
    """Answers and abstentions, over several batches."""
    g = smooth_net(sigma=0.3).float()
    pixels = (images(12) * 255).round().to(torch.uint8)
    y = base_labels(g, pixels.float() / 255)
    data = ImageData(pixels, y, torch.arange(12) + 40, 5, "toy", "test")
    found = attack_data(g, data, None, n=20, alpha=0.2, seed=3, batch_size=5)
    options = {"n": 20, "alpha": 0.2, "seed": 3, "arithmetic": "float"}
    unit = pixels.float() / 255
    said = predict(g, unit, index=data.index, **options).label
    assert found.accuracy == int((said == y).sum()) / 12
    assert found.abstained == int((said == ABSTAIN).sum()) / 12
    assert 0 < found.abstained < 1


def test_predict_is_asked_by_number_and_in_the_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    g = smooth_net(sigma=0.5).float()
    pixels = (images(5) * 255).round().to(torch.uint8)
    data = ImageData(
        pixels, torch.zeros(5, dtype=torch.int64), torch.arange(5) + 40, 5, "toy", "test"
    )
    asked: list[tuple[list[int], str]] = []
    said = empirical.predict

    def noted(*args: Any, **options: Any) -> Any:
        asked.append((options["index"].tolist(), options["precision"]))
        return said(*args, **options)

    monkeypatch.setattr(empirical, "predict", noted)
    attack_data(g, data, None, n=20, num_noise=1, batch_size=4, precision="bfloat16")
    assert asked == [([40, 41, 42, 43], "bfloat16"), ([44], "bfloat16")]


def test_the_longest_perturbation_is_that_of_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    g, lengths = linear_net(sigma=0.05).float(), iter([0.3, 0.1])
    pixels = (images(6) * 255).round().to(torch.uint8)
    data = ImageData(pixels, torch.zeros(6, dtype=torch.int64), torch.arange(6), 2, "toy", "test")

    def answers(g: Any, x: torch.Tensor, *_: Any, **__: Any) -> empirical.Answers:
        length = torch.full((len(x),), next(lengths), dtype=torch.float64)
        return empirical.Answers(torch.zeros(len(x)).long(), length, length > 1)

    monkeypatch.setattr("rsmooth.evaluate.attacked.measured_answers", answers)
    assert attack_data(g, data, PGD(epsilon=0.5, steps=1), batch_size=4).largest_norm == 0.3


def test_the_draws_of_attacks_without_a_generator_depend_on_the_seed() -> None:
    g = smooth_net(sigma=0.2).float()
    pixels = (images(6) * 255).round().to(torch.uint8)
    data = ImageData(
        pixels, base_labels(g, pixels.float() / 255), torch.arange(6), 2, "toy", "test"
    )
    foolbox = ATTACKS.create("foolbox", attack="L2PGD", epsilon=0.2, options={"steps": 1})
    before = torch.random.get_rng_state()
    one, two = (attack_data(g, data, foolbox, n=30, num_noise=1, alpha=0.3) for _ in range(2))
    assert one == two
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_run_over_no_image_yields_no_number() -> None:
    g = linear_net(sigma=0.05).float()
    data = ImageData(
        (images(3) * 255).round().to(torch.uint8),
        torch.zeros(3, dtype=torch.int64),
        torch.arange(3),
        2,
        "toy",
        "test",
    )
    for size in (0, -1):
        with pytest.raises(ValueError, match="expected batch_size >= 1 and at least one image"):
            attack_data(g, data, None, n=20, batch_size=size)
    with pytest.raises(ValueError, match=r"at least one image, got 4 and 0"):
        attack_data(g, data.subset([]), None, n=20, batch_size=4)
    for options in ({"batch_size": 1.5}, {"batch_size": True}, {"seed": 0.5}, {"seed": None}):
        with pytest.raises(ValueError, match=r"expected an integer (batch_size|seed), got"):
            attack_data(g, data, None, n=20, **options)


def test_a_base_without_parameters_is_attacked_too() -> None:
    g = half_space()
    data = ImageData(
        grey(4, seed=9), torch.zeros(4, dtype=torch.int64), torch.arange(4), 2, "toy", "test"
    )
    assert attack_data(g, data, PGD(epsilon=0.1, steps=1), n=50, num_noise=2).images == 4


def test_norm_and_longest_perturbation_are_measured() -> None:
    g = smooth_net(sigma=0.2).float()
    pixels = (images(6) * 255).round().to(torch.uint8)
    data = ImageData(
        pixels, base_labels(g, pixels.float() / 255), torch.arange(6), 5, "toy", "test"
    )
    few = {"n": 30, "num_noise": 1, "alpha": 0.3, "batch_size": 4}
    for name, norm in (("L2PGD", "l2"), ("LinfPGD", "linf")):
        attack = ATTACKS.create("foolbox", attack=name, epsilon=0.05)
        found = attack_data(g, data, attack, **few)
        assert (found.norm, found.without_gradient) == (norm, 0)
        assert 0.04 < found.largest_norm <= 0.05 + 1e-6
    none = attack_data(g, data, None, **few)
    assert (none.norm, none.largest_norm, none.without_gradient) == (None, 0.0, 0)


def test_images_without_a_gradient_are_counted_over_all_batches() -> None:
    class Rounds(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            level = (x * 255).round().mean(dim=(1, 2, 3))
            return torch.stack([level, 255 - level], dim=1)

    g = SmoothedClassifier(Rounds(), 0.05, 2)
    data = ImageData(
        torch.full((6, 1, 4, 4), 250, dtype=torch.uint8),
        torch.tensor([0, 0, 0, 0, 0, 1]),
        torch.arange(6),
        2,
        "toy",
        "test",
    )
    attack = PGD(epsilon=0.3, steps=2, target="smoothed")
    with pytest.warns(UserWarning, match="for 5 of 6 images: there the attack has measured noth"):
        found = attack_data(g, data, attack, n=50, num_noise=2, batch_size=4)
    assert found.without_gradient == found.record()["without_gradient"] == 5


def test_threads_leave_the_random_state_as_it_was() -> None:
    g = smooth_net(sigma=0.2).float()
    pixels = (images(4) * 255).round().to(torch.uint8)
    y = base_labels(g, pixels.float() / 255)
    data = ImageData(pixels, y, torch.arange(4), 5, "toy", "test")
    foolbox = ATTACKS.create("foolbox", attack="L2PGD", epsilon=0.2, options={"steps": 1})

    def use(_: int) -> object:
        return attack_data(g, data, foolbox, n=30, num_noise=1, alpha=0.3)

    before, alone = torch.get_rng_state(), use(0)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(use, range(6))) == [alone] * 6
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("measure", [attack_data, empirical_accuracy])
def test_the_name_of_an_attack_is_no_attack(measure: Any) -> None:
    g, x = linear_net(sigma=0.05).float(), images(2).float()
    y = base_labels(g, x)
    given = (x, y) if measure is empirical_accuracy else ((x, y),)
    with pytest.raises(TypeError, match=r"expected an attack such as PGD.*, got 'pgd'; make one"):
        measure(g, *given, "pgd")


def test_a_base_classifier_in_place_of_g_is_named() -> None:
    base = smooth_net().base
    data = ImageData(
        torch.zeros(1, 3, 4, 4, dtype=torch.uint8),
        torch.zeros(1).long(),
        torch.arange(1),
        5,
        "",
        "",
    )
    for use in (
        lambda: attack_data(base, data, None),  # type: ignore[arg-type]
        lambda: audit(base, data, None),  # type: ignore[arg-type]
        lambda: to_foolbox(base),  # type: ignore[arg-type]
        lambda: model_hash(base),  # type: ignore[arg-type]
        lambda: empirical_accuracy(
            base, images(1), torch.zeros(1).long(), PGD(epsilon=1.0, steps=1)
        ),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match="expected a SmoothedClassifier, got Sequential; wrap"):
            use()


def test_the_bar_counts_images_and_moves_within_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    g = linear_net(sigma=0.05).float()
    pixels = (images(6) * 255).round().to(torch.uint8)
    y = base_labels(g, pixels.float() / 255)
    data = ImageData(pixels, y, torch.arange(6), 2, "toy", "test")
    attack_data(g, data, PGD(epsilon=0.1, steps=3), n=20, num_noise=2, batch_size=4, progress=True)
    lines = stream.getvalue().splitlines()
    shown = [line for line in lines if "epsilon 0.1" in line and "/6 " in line]
    assert any("| 0/6 " in line and "passes" in line for line in shown), (
        "moves before an image is done"
    )
    assert any("| 4/6 " in line for line in shown)
    assert not g.base._forward_hooks, "expected nothing left on the model"
