"""Self-training: the teacher's labels, and what the student makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from rsmooth.attacks import SmoothAdvPGD
from rsmooth.data import ImageData
from rsmooth.defenses import PseudoLabels, Trainer, pseudo_label
from rsmooth.noise.distributions import Gaussian
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.draws import UNLABELLED, Draws
from tests.training.helpers import CLASSES, classifier, images, trained, weights


@pytest.fixture(scope="module")
def teacher():  # type: ignore[no-untyped-def]
    g = classifier()
    Trainer(epochs=15, batch_size=12, lr=0.1).fit(g, images(60), progress=False)
    return g


def test_pseudo_labels_are_the_teachers_mean_softmax(teacher: Any) -> None:
    data = images(30, seed=4)
    hard = pseudo_label(teacher, data)
    noise = Draws(0, UNLABELLED).noise(
        data.index, 0, teacher.num_noise, data.images.shape[1:], teacher.noise
    )
    with torch.no_grad():
        expected = teacher.log_probs(data.images.float()[:, None] / 255 + noise).exp().mean(1)
    assert hard.probabilities is None
    assert torch.equal(hard.data.labels, expected.argmax(1))
    assert (hard.data.labels == data.labels).float().mean() > 0.8
    soft = pseudo_label(teacher, data.images, soft=True, batch_size=7)
    assert soft.probabilities is not None
    assert soft.probabilities.shape == (30, CLASSES)
    again = pseudo_label(teacher, data, soft=True, batch_size=7)
    assert again.probabilities is not None
    assert torch.allclose(again.probabilities, expected, atol=1e-5)


class Ending(torch.nn.Module):
    """A base classifier whose logits are of another type than its weights."""

    def __init__(self, base: torch.nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.base, self.dtype = base, dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.base(x).to(self.dtype)
        return logits


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ending", [True, False])
def test_a_teacher_may_compute_in_any_type(dtype: torch.dtype, ending: bool) -> None:
    """Of half precision the answers are float32, as those of any classifier are."""
    teacher, data = classifier(), images(10, seed=4)
    expected = pseudo_label(teacher, data, soft=True)
    base = Ending(teacher.base, dtype) if ending else teacher.base.to(dtype)
    found = pseudo_label(teacher.around(base), data, soft=True)
    assert found.probabilities is not None
    assert expected.probabilities is not None
    assert found.probabilities.dtype == (dtype if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(
        found.probabilities, expected.probabilities, rtol=0, atol=0.02, check_dtype=False
    )
    trained(Trainer(epochs=1, batch_size=10, unlabelled_share=0.5), classifier(), data, found)


def test_a_teacher_may_have_no_parameters() -> None:
    """Such as a function of arrays, or a network of integers."""

    def bright(pixels: Any) -> Any:
        return (pixels.reshape(len(pixels), -1).mean(axis=1) > 0.5).astype("int64")

    teacher = SmoothedClassifier.from_function(bright, sigma=0.01, num_classes=CLASSES)
    labels = pseudo_label(teacher, torch.arange(2.0).view(2, 1, 1, 1).expand(2, 1, 8, 8))
    assert labels.data.labels.tolist() == [0, 1]


def test_confidence_leaves_out_doubtful_images(teacher: Any) -> None:
    data = images(30, seed=4)
    everything = pseudo_label(teacher, data, soft=True).probabilities
    assert everything is not None
    bar = float(everything.amax(1).median())
    kept = pseudo_label(teacher, data, confidence=bar).data
    assert torch.equal(kept.index, data.index[everything.amax(1) >= bar])
    with pytest.raises(ValueError, match="expected images that the teacher is sure of"):
        pseudo_label(teacher, data, confidence=1.1)


def test_the_weight_scales_the_pseudo_labelled_steps_only() -> None:
    """Without momentum and decay: two plain SGD steps, the second of w times the gradient."""
    data, extra = images(6), images(6, seed=3)
    options = {"epochs": 1, "batch_size": 6, "lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}
    g, reference = classifier("mlp"), classifier("mlp")
    Trainer(**options).fit(g, data, unlabelled=PseudoLabels(extra, weight=0.3), progress=False)
    for part, stream, weight in ((data, 0, 1.0), (extra, UNLABELLED, 0.3)):
        order = Draws(0, stream).order(6, 0)
        x, y, ids = part.images[order].float() / 255, part.labels[order], part.index[order]
        noise = Draws(0, stream).noise(ids, 0, 1, x.shape[1:], Gaussian(0.25))
        loss = weight * cross_entropy(reference.base(x + noise[:, 0]), y)
        gradients = torch.autograd.grad(loss, list(reference.base.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(reference.base.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient
    assert torch.allclose(weights(g), weights(reference), atol=1e-6)


def test_soft_and_hard_labels_and_the_weight_matter_and_meet_attacks(teacher: Any) -> None:
    extra = images(30, seed=4)
    trainer = Trainer(
        attack=SmoothAdvPGD(epsilon=0.3, steps=1), num_noise=2, epochs=1, batch_size=12, lr=0.05
    )
    results = [trained(trainer)]
    for unlabelled in (
        pseudo_label(teacher, extra),
        pseudo_label(teacher, extra, soft=True),
        pseudo_label(teacher, extra, weight=0.5),
    ):
        g = classifier()
        trainer.fit(g, images(), unlabelled=unlabelled, progress=False)
        results.append(weights(g))
    for i, one in enumerate(results):
        assert not any(torch.allclose(one, other) for other in results[i + 1 :])


def test_unlabelled_images_are_part_of_the_configuration(tmp_path: Path) -> None:
    trainer = Trainer(epochs=1, batch_size=12)
    extra: ImageData = images(12, seed=4)
    trainer.fit(
        classifier(), images(), unlabelled=PseudoLabels(extra), run_dir=tmp_path, progress=False
    )
    with pytest.raises(ValueError, match=r"unlabelled was .* and is"):
        trainer.fit(
            classifier(), images(), unlabelled=PseudoLabels(extra, weight=2.0), run_dir=tmp_path
        )
    with pytest.raises(ValueError, match="expected a weight > 0"):
        PseudoLabels(extra, weight=0.0)


@pytest.mark.parametrize(
    ("probabilities", "weight", "said"),
    [
        (
            torch.full((5, 3), 1 / 3),
            1.0,
            r"probabilities \(24, 3\), one row per image, got \(5, 3\)",
        ),
        (
            torch.full((24, 5), 0.2),
            1.0,
            r"probabilities \(24, 3\), one row per image, got \(24, 5\)",
        ),
        ([[1 / 3] * 3] * 24, 1.0, r"class probabilities \(N, K\) as a torch.Tensor, got builtins"),
        (None, "1", "weight to be a number, got '1'"),
    ],
)
def test_pseudo_labels_that_do_not_fit_are_refused(
    probabilities: Any, weight: Any, said: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=f"expected .*{said}"):
        PseudoLabels(images(), probabilities, weight)


@pytest.mark.parametrize(
    "row", [[float("nan")] * 3, [2.0, -1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]
)
def test_what_are_no_probabilities_is_refused(row: list[float]) -> None:
    unlabelled = PseudoLabels(images(), torch.tensor([row]).expand(24, 3))
    with pytest.raises(ValueError, match="expected class probabilities >= 0 that sum to 1"):
        Trainer().fit(classifier(), images(), unlabelled=unlabelled, progress=False)


def test_only_images_are_pseudo_labelled() -> None:
    with pytest.raises(ValueError, match="expected pseudo-labelled images as ImageData, got Tens"):
        PseudoLabels(torch.zeros(3, 1, 8, 8))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a SmoothedClassifier, got Classifier"):
        pseudo_label(classifier().base, images())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected batch_size >= 1, got 0"):
        pseudo_label(classifier(), images(), batch_size=0)


def test_the_teacher_keeps_its_modes() -> None:
    """Each part its own."""
    g = classifier()
    g.base[1][1].eval()
    modes = [part.training for part in g.modules()]
    pseudo_label(g, images(6))
    assert [part.training for part in g.modules()] == modes
    assert len(set(modes)) == 2
