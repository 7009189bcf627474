"""The code on CUDA tensors without a GPU: no mixed devices, and nobody waits for a value."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from rsmooth.attacks import DDN, PGD, Attack
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.profile import Profile
from rsmooth.data import ImageData
from rsmooth.defenses import Trainer
from rsmooth.models.normalize import Classifier
from rsmooth.models.precision import resolve_precision
from rsmooth.noise import (
    GridSampler,
    derive_key,
    gaussian,
    grid,
    philox,
    philox_words,
    uniform_integers,
)
from rsmooth.noise.distributions import Gaussian
from rsmooth.noise.philox import device_keys
from rsmooth.registry import MODELS, TRAINERS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import Draws
from rsmooth.training.sources import PseudoLabels, as_source
from rsmooth.training.steps import Stepper
from tests.system.fake_cuda import CUDA, WAITS, Transfers, available, fake_cuda
from tests.training.helpers import build

pytestmark = [
    pytest.mark.skipif(not available(), reason="this torch cannot imitate CUDA"),
    pytest.mark.filterwarnings(
        "ignore:Accessing the data pointer of FakeTensor"
    ),  # what copy.deepcopy does
]
KEY = derive_key(0, "estimate")
SHAPE = torch.Size((3, 8, 8))


@pytest.fixture
def mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTensorMode]:
    with fake_cuda(monkeypatch) as mode:
        yield mode


@pytest.fixture(params=["cuda", "meta"])
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[torch.device]:
    """The fake device, which has no backward pass, and the one without values, which has it.

    Both lack a fused optimiser.
    """
    for name in ("SGD", "Adam", "AdamW"):
        plain = getattr(torch.optim, name)
        monkeypatch.setattr(
            torch.optim,
            name,
            lambda *arguments, fused, plain=plain, **options: plain(*arguments, **options),
        )
    if request.param == "cuda":
        with fake_cuda(monkeypatch):
            yield CUDA
    else:
        yield torch.device("meta")


def one_convolution() -> Classifier:
    """One layer of each kind, since each operation on a fake device takes a millisecond."""
    layers = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
    head = nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 4)
    return Classifier(nn.Sequential(*layers, *head), normalize=None, in_channels=3)


def classifier(
    place: torch.device = CUDA, name: str | None = None, **options: Any
) -> SmoothedClassifier:
    with unset_fake_temporarily():
        base = MODELS.create(name, num_classes=4, **options) if name else one_convolution()
    return SmoothedClassifier(base, 0.25, 4).to(place)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros in place of Philox' words, a third of the time; the words have a test of their own."""

    def zeros(ids: Tensor, _: Tensor, __: Tensor, ___: int, blocks: int) -> Tensor:
        return torch.zeros((len(ids), blocks, 2), dtype=torch.int64, device=ids.device)

    monkeypatch.setattr(philox, "pairs_torch", zeros)


def mixed(place: torch.device) -> AbstractContextManager[Any]:
    """Autocast, where the device has it."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if place == CUDA else nullcontext()


def images(count: int = 12) -> ImageData:
    with unset_fake_temporarily():  # its checks read values, which fake tensors lack
        return ImageData(
            torch.zeros((count, *SHAPE), dtype=torch.uint8),
            torch.arange(count) % 4,
            torch.arange(count) * 3,
            4,
            "black",
            "train",
        )


def test_the_device_refuses_to_be_read_or_mixed(mode: FakeTensorMode) -> None:
    """What all tests here rest on."""
    there, here = torch.ones(3, device=CUDA), torch.ones(3)
    for read in (
        lambda: there.sum().item(),
        lambda: bool(there.any()),
        there.tolist,
        there.nonzero,
    ):
        with pytest.raises(WAITS["cuda"]):
            read()
    with pytest.raises((RuntimeError, TypeError), match=r"[dD]evice"):
        _ = there + here
    with Transfers() as transfers:
        _ = here.to(CUDA), torch.zeros(2, device=CUDA).fill_(1.0)
    assert transfers.seen == ["aten._to_copy.default"]


@pytest.mark.parametrize("kernel", ["lazy", "dense"])
def test_grid_noise_is_drawn_without_waiting(
    kernel: str, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampler, ids = GridSampler("1.0"), torch.arange(6, device=CUDA)
    if kernel == "dense":
        monkeypatch.setattr(grid, "compiled_dense", lambda work, *arguments: grid.dense(*arguments))
    sampler.sample(KEY, ids, ids, tuple(SHAPE), CUDA)
    with Transfers() as transfers:
        noise = sampler.sample(KEY, ids, ids, tuple(SHAPE), CUDA)
    assert (noise.device, noise.dtype, noise.shape) == (CUDA, torch.int16, (6, *SHAPE))
    assert not transfers.seen


def test_words_floats_and_integers_are_drawn_without_waiting(mode: FakeTensorMode) -> None:
    ids = torch.arange(6, device=CUDA)
    device_keys(KEY, CUDA)
    with Transfers() as transfers:
        drawn = [
            philox_words(KEY, ids, ids, 9, CUDA),
            gaussian(KEY, ids, ids, (3, 5, 5), CUDA),
            uniform_integers(KEY, ids, ids, 9),
        ]
    assert {tensor.device for tensor in drawn} == {CUDA}
    assert not transfers.seen


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_votes_are_counted_on_the_device(dtype: str, arithmetic: Any, mode: FakeTensorMode) -> None:
    """Passes over copies of two images: nothing is fetched, nothing sent after the first lines."""
    g = classifier()
    profile = Profile("cuda:0", "fake", dtype, batch=48, compiled="no")
    pool = VotePool(
        FixedBatchNetwork(g, profile), noisy_images(arithmetic, g.noise, 0, SHAPE), SHAPE
    )
    stored = (
        torch.zeros(SHAPE, dtype=torch.uint8) if arithmetic == "integer" else torch.zeros(SHAPE)
    )
    work = [Slice("estimate", stored, 7, 0, 50), Slice("estimate", stored, 9, 3, 40)]
    pool._count("estimate", work)
    sent = []
    for count in (work, [replace(work[0], stop=200), work[1]]):
        with Transfers() as transfers:
            votes = pool._count("estimate", count)
        sent.append(len(transfers.seen))
        assert (votes.device, votes.dtype, votes.shape) == (CUDA, torch.int64, (2, 5))
    assert sent[0] == sent[1] <= 4, (
        "expected as many copies to the device for five passes as for two"
    )


@pytest.mark.parametrize(
    "attack",
    [
        PGD(epsilon=0.5, steps=2),
        PGD(epsilon=0.5, steps=2, target="smoothed", objective="smoothadv", random_start=True),
        DDN(epsilon=0.5, steps=2, quantize_levels=256),
        DDN(epsilon=0.5, steps=2, target="smoothed", fallback="last"),
    ],
    ids=["pgd", "smoothadv-pgd", "ddn", "smoothed-ddn"],
)
def test_attacks_stay_on_the_device(attack: Attack, place: torch.device) -> None:
    g, x, y = (
        classifier(place),
        torch.rand(5, *SHAPE, device=place),
        torch.zeros(5, dtype=torch.int64, device=place),
    )
    noise = torch.randn(5, 2, *SHAPE, device=place)
    attack(g, x, y, noise=noise, validate=False)
    with Transfers() as transfers, mixed(place):
        x_adv = attack(g, x, y, noise=noise, validate=False)
    assert (x_adv.device, x_adv.dtype, x_adv.shape) == (place, torch.float32, x.shape)
    assert not transfers.seen
    with pytest.raises(WAITS[place.type]):
        attack(g, x, y, noise=noise)  # its checks read values; training leaves them out


def trainer(name: str, **options: Any) -> Trainer:
    copies = 1 if TRAINERS.get(name).without_noise else 2
    return build(name, num_noise=copies, batch_size=8, **options)


@pytest.mark.usefixtures("words")
@pytest.mark.parametrize(
    ("name", "optimizer"), [*((name, "sgd") for name in TRAINERS.own_names()), ("gaussian", "muon")]
)
def test_a_training_step_neither_waits_nor_copies(
    name: str, optimizer: str, place: torch.device
) -> None:
    """Augmentation, noise, attack on the folded copy, update, metrics, from the second step on."""
    chosen = trainer(name, clip_grad_norm=1.0, optimizer=optimizer)
    g = classifier(place)
    if "classifier" in chosen.frozen_parts:
        front = {"name": "dncnn", "depth": 3, "width": 4}
        g = classifier(place, "denoised", denoiser=front, classifier="small-cnn")
    source = as_source(images(), Draws(0), device=place, augment=True, workers=0)
    stepper = Stepper(chosen, g, Ranks(), "bfloat16" if place == CUDA else "float32")
    batches = source.batches(torch.split(torch.arange(12), 4), 0)
    for number in range(2):
        with Transfers() as transfers:
            x, targets, ids = next(batches)
            noise = source.draws.noise(ids, 0, 2, x.shape[1:], Gaussian(0.25))
            extras = dict.fromkeys(chosen.needs, torch.full((4, 4), 0.25, device=place))
            stepper.step(
                x, targets, noise, ids, lr=0.1, attack=chosen.attack, scale=0.25, extras=extras
            )
        assert number == 0 or not transfers.seen
    tensors = [*g.base.state_dict().values(), stepper.meter.totals, x, targets, ids, noise]
    assert {tensor.device for tensor in tensors} == {place}


def test_soft_labels_stay_on_the_device(place: torch.device) -> None:
    g, chosen = classifier(place), trainer("smoothadv")
    source = PseudoLabels(images(), torch.full((12, 4), 0.25)).source(chosen, place)
    stepper = Stepper(chosen, g, Ranks(), "bfloat16" if place == CUDA else "float32")
    for x, targets, ids in source.batches([torch.arange(4)], 0):
        noise = source.draws.noise(ids, 0, 2, x.shape[1:], Gaussian(0.25))
        stepper.step(x, targets, noise, ids, lr=0.1, attack=chosen.attack, scale=0.25)
    assert stepper.meter.totals.device == place


def test_a_gpu_with_bfloat16_takes_it_without_a_race(
    mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, x = classifier(name="resnet20").base, torch.rand(4, 3, 32, 32, device=CUDA)
    assert resolve_precision("auto", base, x) == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert resolve_precision("auto", base, x) == "float32"


def test_the_soft_answer_stays_on_the_device(mode: FakeTensorMode) -> None:
    g, x = classifier(), torch.rand(5, *SHAPE, device=CUDA)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        answers: list[Tensor] = [g(x), g.log_probs(x[:, None])]
        with g.frozen_noise(3):
            answers.append(g(x))
    assert {(answer.device, answer.dtype) for answer in answers} == {(CUDA, torch.float32)}
