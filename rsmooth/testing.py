"""Checks that every part of a kind must pass: for authors of plug-ins, and for our own tests.

    from rsmooth.testing import check_attack, check_trainer

    def test_my_attack():
        check_attack(MyAttack(epsilon=0.5))

Each check takes one part, runs for seconds on a CPU, and raises AssertionError with what was
expected and what it got. What a part itself raises comes through as it is. A check that passes
does not show that a part does its work well.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import torch
from torch import Tensor, nn

from rsmooth.attacks.base import Attack
from rsmooth.certify.votes.network import check_images_apart
from rsmooth.data.images import ImageData
from rsmooth.data.splits import DataSplits
from rsmooth.defenses.trainer import Trainer
from rsmooth.models.small import small_cnn
from rsmooth.noise.distributions import Floats, NoiseDistribution, noise_of_record
from rsmooth.noise.grid import GridSampler
from rsmooth.noise.keys import derive_key
from rsmooth.noise.thresholds import BITS
from rsmooth.objectives import Objective
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.guards import FEW_IMAGES

__all__ = [
    "check_attack",
    "check_dataset",
    "check_model",
    "check_noise",
    "check_objective",
    "check_trainer",
]

CLASSES = 3


def check_attack(attack: Attack) -> None:
    """An attack is a value, keeps epsilon and box, lowers the odds, and leaves the model as it was.

        check_attack(MyAttack(epsilon=0.5))

    attack: of any epsilon > 0. It is run on five small images. Epsilon is to be kept in the
        attack's ``norm``, or its call raises ValueError. Targeted, it is to raise the odds, or to
        be refused with ValueError.

    torch's random state is set to a fixed one for the time of the check, for attacks that draw
    from it.
    """
    _check_value(attack)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        _check_perturbations(attack)


def _check_perturbations(attack: Attack) -> None:
    g, x, y, noise = _attackable()
    before = {name: value.clone() for name, value in g.state_dict().items()}
    modes = [part.training for part in g.modules()]
    with torch.no_grad():
        odds = _log_odds(g, x, y, noise)
    # Unchecked, so that what is wrong is said here.
    x_adv = attack(g, x, y, noise=noise, validate=False)
    _expect(x_adv.shape == x.shape and x_adv.dtype == x.dtype, "images like those handed in", x_adv)
    _expect(not x_adv.requires_grad, "detached images")
    _expect(bool(((x_adv >= 0) & (x_adv <= 1)).all()), "images within [0, 1]")
    dataclasses.replace(attack, epsilon=attack.epsilon / 2)(g, x, y, noise=noise)
    with torch.no_grad():
        _expect(bool(_log_odds(g, x_adv, y, noise).mean() <= odds.mean() + 1e-6), "no better odds")
    _check_targeted(dataclasses.replace(attack, targeted=True), g, x, noise)
    _expect([part.training for part in g.modules()] == modes, "modes as they were")
    _expect(all(own.requires_grad for own in g.parameters()), "parameters that ask for gradients")
    _expect(all(before[n].equal(v) for n, v in g.state_dict().items()), "weights as they were")
    _expect(len(attack(g, x[:0], y[:0])) == 0, "no images for none")


def check_objective(objective: Objective) -> None:
    """An objective gives one finite loss per image, of that image alone, with gradients.

        check_objective(my_objective)

    objective: (log_probs (B, m, K), y (B,)) -> loss (B,). It is to fall where the label becomes
        more probable, and to stay finite where the label's probability underflows.
    """
    generator = torch.Generator().manual_seed(0)
    for m in (1, 3):
        logits = 3 * torch.randn(5, m, CLASSES, generator=generator, dtype=torch.float64)
        log_probs = logits.requires_grad_().log_softmax(dim=2)
        y = torch.tensor([0, 1, 2, 0, 1])
        loss = objective(log_probs, y)
        _expect(isinstance(loss, Tensor) and loss.shape == (5,), "one loss per image (5,)", loss)
        _expect(loss.requires_grad, "losses with a gradient", loss)
        _expect(bool(loss.isfinite().all()), "finite losses", loss)
        alone = torch.cat([objective(log_probs[i : i + 1], y[i : i + 1]) for i in range(5)])
        _expect(torch.allclose(loss, alone), "a loss that depends on its own image alone")
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        _expect(bool(gradient.isfinite().all()), "finite gradients", gradient)
        of_label = 9 * torch.nn.functional.one_hot(y, CLASSES).unsqueeze(1)
        likely, unlikely, underflow = (
            objective((logits.detach() + by * of_label).log_softmax(dim=2), y)
            for by in (1, -1, -1000)
        )
        _expect(bool((likely <= unlikely).all()), "smaller losses of likelier labels", likely)
        _expect(bool(underflow.isfinite().all()), "finite losses of probabilities of 0", underflow)


def check_model(model: nn.Module, shape: tuple[int, int, int] = (1, 8, 8)) -> None:
    """A model answers each image on its own, has gradients, and can be saved and loaded.

        check_model(MODELS.create("my-net", num_classes=10), shape=(3, 32, 32))

    model: images (N, C, H, W) in [0, 1] -> logits (N, K). shape: (C, H, W) of images to try.
    """
    x = torch.rand((4, *shape), generator=torch.Generator().manual_seed(0), requires_grad=True)
    logits = model.eval()(x)
    _expect(logits.ndim == 2 and len(logits) == 4, "logits (N, K)", logits)
    _expect(bool(logits.isfinite().all()), "finite logits", logits)
    _expect(logits.requires_grad, "logits with a gradient", logits)
    (gradient,) = torch.autograd.grad(logits.sum(), x)
    _expect(bool(gradient.isfinite().all() and gradient.any()), "gradients in the images")
    g = SmoothedClassifier(model, sigma=0.25, num_classes=logits.shape[1]).eval()
    check_images_apart(g, torch.Size(shape))
    if getattr(model, "architecture", None) is not None:
        with tempfile.TemporaryDirectory() as folder:
            g.save(Path(folder) / "model.pt")
            loaded = SmoothedClassifier.load(Path(folder) / "model.pt")
        with torch.no_grad():
            _expect(torch.equal(loaded.base(x), model(x)), "the same logits after a round trip")


def check_dataset(splits: DataSplits) -> None:
    """The splits of a data set agree in shape and classes, give batches, and do not overlap.

        check_dataset(load_dataset("my-data", root="data"))

    splits: two images of each are read.
    """
    present = [split for split in (splits.train, splits.validation, splits.test) if split]
    _expect(bool(present), "at least one split")
    for split in present:
        images, labels = split.batch([0, len(split) - 1])
        _expect(images.dtype in (torch.uint8, torch.float32), "uint8 or float32 images", images)
        _expect(tuple(images.shape) == (2, *splits.image_shape), "image_shape", images)
        if images.is_floating_point():
            _expect(bool(((images >= 0) & (images <= 1)).all()), "images within [0, 1]")
        _expect(split.num_classes == splits.num_classes, "num_classes of the splits alike")
        _expect(labels.dtype == torch.int64 and labels.shape == (2,), "two int64 labels", labels)
        _expect(bool((labels >= 0).all()), "labels from 0 on", labels)
        _expect(bool((labels < splits.num_classes).all()), "labels below num_classes", labels)
        _expect(len(split.subset([0])) == 1, "a subset of one image")
    if splits.train is not None and splits.validation is not None:
        shared = np.intersect1d(splits.train.index.numpy(), splits.validation.index.numpy())
        _expect(not len(shared), "validation images that are no training images", shared)
    for name in ("train", "validation", "test"):
        split = getattr(splits, name)
        if split is not None:  # what a record says of its images
            _expect(split.split == name, f"the {name} split to be called so", split.split)


def check_trainer(trainer: Trainer, g: SmoothedClassifier | None = None) -> None:
    """A trainer trains, leaves the classifier in eval mode, and resumes to the same bits.

        check_trainer(MyTrainer(my_weight=1.0))

    trainer: cut to two short epochs without weight decay first. The second is interrupted twice.
        What it ``needs`` are class probabilities that lean to the labels.
    g: what to train; None takes a small-cnn for three classes of 8x8 grey images, under noise
        unless the trainer is one without.
    """
    few = 12 if trainer.num_noise <= 12 else FEW_IMAGES * trainer.num_noise
    short: dict[str, Any] = {"epochs": 2, "batch_size": few}
    short |= {"precision": "float32", "budget_seconds": None, "checkpoint_seconds": 1e-9}
    short |= {"warmup_from": 0, "warmup_epochs": min(trainer.warmup_epochs, 1)}
    trainer = dataclasses.replace(trainer, weight_decay=0.0, **short)
    g, data = g or _classifier(0.0 if trainer.without_noise else 0.25), _stripes()
    lean = 0.7 * torch.nn.functional.one_hot(data.labels, CLASSES) + 0.3 / CLASSES
    whole, extras = copy.deepcopy(g), dict.fromkeys(trainer.needs, lean)
    history = trainer.fit(whole, data, extras=extras, progress=False)
    _expect(len(history) == 2 and history[0]["images"] == len(data), "every image once per epoch")
    _expect(all(np.isfinite(float(row["train_loss"])) for row in history), "finite losses")
    _expect(not whole.training, "eval mode after training")
    moved = zip(whole.base.parameters(), g.base.parameters(), strict=True)
    _expect(any(not after.equal(before) for after, before in moved), "weights that training moves")
    with tempfile.TemporaryDirectory() as folder:
        # A run that is stopped so goes on from the save before it: the epoch's start, then its
        # first step.
        for step in (1, 2, None):
            again = copy.deepcopy(g)
            with suppress(_Stopped):
                options: dict[str, Any] = {"run_dir": folder, "callback": _stop_at(step)}
                trainer.fit(again, data, extras=extras, progress=False, **options)
    ended, resumed = whole.base.state_dict(), again.base.state_dict()
    same = all(ended[name].equal(resumed[name]) for name in ended)
    _expect(same, "the same bits after an interruption")


def check_noise(noise: NoiseDistribution) -> None:
    """A noise has radii that are rounded down, shares that are their inverse, and its own draws.

        check_noise(MyNoise(0.25))

    noise: of any scale > 0. The draws are tested with a fixed seed. A right distribution fails with
    probability below 1e-5. Of radii that are too large, those are found that a step on one pixel
    refutes; a proof of the formula is up to you.
    """
    _check_value(noise)
    _expect(noise_of_record(noise.record()) == noise, "a record that can be read back", noise)
    shares = np.array([0.5, 0.51, 0.7, 0.9, 0.999, 1 - 1e-6])
    radii = noise.radius(shares)
    _expect(radii[0] == 0 and bool((np.diff(radii) > 0).all()), "radii that grow from 0", radii)
    back = np.array([_share(noise, float(radius)) for radius in radii[1:]])
    _expect(bool((back <= shares[1:] + 1e-9).all()), "radii that are rounded down", back)
    _expect(np.allclose(back, shares[1:], atol=1e-6), "share to be the inverse of radius", back)
    _check_one_pixel(noise, shares[1:], radii[1:])
    ids, samples = torch.zeros(64, dtype=torch.int64), torch.arange(64)
    drawn = GridSampler(noise).sample(derive_key(0, "estimate"), ids, samples, (1, 32, 32))
    _check_cells(noise, drawn.flatten().numpy())
    filled = noise.fill(torch.empty(65_536), torch.Generator().manual_seed(0))
    _expect(abs(float(filled.mean())) < 5 * float(filled.std()) / 256, "noise around 0")
    found = np.round(255 * filled.numpy()).astype(np.int64)
    _check_cells(noise, found)


def _check_one_pixel(noise: NoiseDistribution, shares: Floats, radii: Floats) -> None:
    """AssertionError for radii that a step on one value of an image refutes, whatever their norm.

    Let another class have all images whose first value is more than t above that of x. A step of t
    there gives it half of all noise. So no radius may exceed the t at which it has 1 - share.
    """
    tails = [
        noise.upper_tail(Fraction(radius) / Fraction(noise.decimal)) / (1 << BITS)
        for radius in radii.tolist()
    ]
    held = np.asarray(tails) >= (1.0 - shares) * (1.0 - 1e-6)
    _expect(bool(held.all()), "radii that no step on one pixel refutes", radii)


def _share(noise: NoiseDistribution, radius: float) -> float:
    """The noise's share; AssertionError where the noise says that its formulas do not fit."""
    try:
        return noise.share(radius)
    except ValueError as error:
        raise AssertionError(f"expected share to be the inverse of radius, got: {error}") from error


def _check_cells(noise: NoiseDistribution, drawn: Any) -> None:
    """A chi-square test of rounded draws against the distribution's own tail, in about 20 cells."""
    limits = noise.thresholds()
    edges = np.concatenate([[0.0], limits.values.astype(np.float64) / 2.0**64, [1.0]])
    counted = np.bincount(drawn - limits.lowest, minlength=len(edges) - 1)
    cells = np.minimum((20 * edges[:-1]).astype(np.int64), 19)
    expected = np.bincount(cells, np.diff(edges)) * len(drawn)
    seen = np.bincount(cells, counted)
    kept = expected > 5
    scaled = expected[kept] * seen[kept].sum() / expected[kept].sum()
    p_value = float(scipy.stats.chisquare(seen[kept], scaled).pvalue)
    _expect(p_value > 1e-6, "draws of the distribution", p_value)


def _expect(holds: bool, what: str, got: object = None) -> None:
    if not holds:
        found = tuple(got.shape) if isinstance(got, Tensor) and got.numel() > 9 else got
        raise AssertionError(f"expected {what}" + ("" if got is None else f", got {found}"))


def _check_targeted(attack: Attack, g: SmoothedClassifier, x: Tensor, noise: Tensor) -> None:
    """An attack towards class 0 that helps it, or that says that it can't be targeted."""
    target = torch.zeros(len(x), dtype=torch.int64)
    with suppress(ValueError):
        x_adv = attack(g, x, target, noise=noise)
        with torch.no_grad():
            before, after = (_log_odds(g, points, target, noise).mean() for points in (x, x_adv))
        _expect(bool(after >= before - 1e-6), "better odds of the class to reach", after)


def _check_value(part: Any) -> None:
    """A frozen dataclass that can be compared, hashed and sent to another process."""
    _expect(dataclasses.is_dataclass(part), "a dataclass", part)
    _expect(part == dataclasses.replace(part), "equal values to be equal", part)
    _expect(hash(part) == hash(dataclasses.replace(part)), "a value that can be hashed", part)
    _expect(pickle.loads(pickle.dumps(part)) == part, "a value that can be pickled", part)


def _attackable() -> tuple[SmoothedClassifier, Tensor, Tensor, Tensor]:
    """A smooth network, images, the labels it gives them, and noise, all float64."""
    generator = torch.Generator().manual_seed(0)
    base = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, CLASSES))
    base.double()
    with torch.no_grad():
        for own in base.parameters():
            own.copy_(torch.randn(own.shape, generator=generator, dtype=torch.float64) / 2)
    g = SmoothedClassifier(base, sigma=0.2, num_classes=CLASSES)
    x = torch.rand((5, 3, 4, 4), generator=generator, dtype=torch.float64)
    noise = g.sample_noise(x, 4, generator)
    with torch.no_grad():
        y = g.log_probs(x.unsqueeze(1) + noise).mean(dim=1).argmax(dim=1)
    return g, x, y, noise


def _log_odds(g: SmoothedClassifier, x: Tensor, y: Tensor, noise: Tensor) -> Tensor:
    log_probs = g.log_probs(x.unsqueeze(1) + noise)
    return log_probs[torch.arange(len(y)), :, y].mean(dim=1)


def _stripes() -> ImageData:
    """24 noise images, each with one of three thirds brightened: its class."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 128, (24, 1, 8, 8), generator=generator)
    labels = torch.arange(24) % CLASSES
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, 2 * label : 2 * label + 2] += 100
    return ImageData(pixels.byte(), labels, torch.arange(24), CLASSES, "stripes", "train")


def _classifier(sigma: float) -> SmoothedClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options: dict[str, Any] = {"num_classes": CLASSES, "in_channels": 1, "width": 4}
        base = small_cnn(**options)
        base.architecture = {"name": "small-cnn", "options": options}
    return SmoothedClassifier(base, sigma=sigma, num_classes=CLASSES)


class _Stopped(Exception):  # noqa: N818 (no fault)
    pass


def _stop_at(wanted: int | None) -> Callable[[int, int], None]:
    """A callback that ends a run after this step of the second epoch."""

    def callback(epoch: int, step: int) -> None:
        if (epoch, step) == (1, wanted):
            raise _Stopped

    return callback
