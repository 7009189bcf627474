"""What only a GPU can show.

Every body runs on the CPU too, so that it is known to be a test before there is a GPU.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from rsmooth.attacks import DDN, SmoothAdvPGD
from rsmooth.certify import CertifySettings, certify, certify_dataset
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.noisy import noisy_images
from rsmooth.certify.votes.pool import Slice, VotePool
from rsmooth.certify.votes.profile import Profile
from rsmooth.certify.votes.schedule import open_pool
from rsmooth.data import ImageData
from rsmooth.defenses import Trainer
from rsmooth.noise import GridSampler, derive_key, gaussian, grid, philox_words, uniform_integers
from rsmooth.noise.distributions import Gaussian
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training.distributed import Ranks
from rsmooth.training.draws import Draws
from rsmooth.training.sources import as_source
from rsmooth.training.steps import Stepper
from tests.training import helpers

ON_GPU = torch.cuda.is_available()
GPU = [pytest.mark.cuda, pytest.mark.skipif(not ON_GPU, reason="no CUDA device here")]
ROOT = Path(__file__).parents[2]
KEY = derive_key(0, "estimate")
SHAPE = torch.Size((3, 16, 16))


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=GPU)])
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The CPU and, where there is one, the GPU, with float32 that is float32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield torch.device(request.param)
    torch.backends.cudnn.allow_tf32 = before


@contextmanager
def no_waiting() -> Iterator[None]:
    """Within this context an operation that waits for the GPU raises."""
    if not ON_GPU:
        yield
        return
    try:
        with warnings.catch_warnings():  # torch calls the mode a prototype, once a process
            warnings.simplefilter("ignore", UserWarning)
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def network(name: str = "resnet8", classes: int = 10) -> SmoothedClassifier:
    """An untrained network whose votes are split between classes."""
    torch.manual_seed(0)
    base = MODELS.create(name, num_classes=classes, normalize="cifar10")
    with torch.no_grad():
        base.train()(torch.rand(64, *SHAPE))
        base.eval()
        head = [layer for layer in base.modules() if isinstance(layer, nn.Linear)][-1]
        head.bias -= base(torch.rand(64, *SHAPE)).mean(0)
    return SmoothedClassifier(base, 0.25, classes)


def pictures(count: int) -> ImageData:
    pixels = torch.randint(
        0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return ImageData(
        pixels, torch.arange(count) % 10, torch.arange(count) * 5 + 2, 10, "random", "test"
    )


def pool(g: SmoothedClassifier, device: torch.device, batch: int = 64, **profile: Any) -> VotePool:
    settings = CertifySettings(
        n=100, precision="float32", compile="never", batch_size=batch, device=str(device)
    )
    opened = open_pool(g, noisy_images("integer", g.noise, 0, SHAPE), SHAPE, settings, 1.0)
    own = (
        FixedBatchNetwork(g, replace(opened.network.profile, **profile))
        if profile
        else opened.network
    )
    return VotePool(own, opened.source, SHAPE)


def slices(copies: int = 150) -> list[Slice]:
    return [
        Slice("estimate", image, 3 * number + 2**33, number, number + copies)
        for number, image in enumerate(pictures(3).images)
    ]


@pytest.mark.parametrize("kernel", ["lazy", "dense", "compiled"])
@pytest.mark.parametrize("sigma", ["0.12", "0.25", "1.0"])
def test_integer_noise_is_the_same_on_every_device(
    kernel: str, sigma: str, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "compiled" and device.type == "cpu":
        pytest.skip("the CPU's own compiled kernel is tested with the noise")
    function = (
        torch.compile(grid.dense, dynamic=True, fullgraph=True)
        if kernel == "compiled"
        else grid.dense
    )
    monkeypatch.setattr(
        grid,
        "compiled_dense",
        lambda work, *arguments: None if kernel == "lazy" else function(*arguments),
    )
    ids, samples = torch.arange(300) * 2**40, torch.arange(300) + 2**32 - 300
    sampler = GridSampler(sigma)
    expected = sampler.sample(KEY, ids, samples, tuple(SHAPE))
    assert torch.equal(sampler.sample(KEY, ids, samples, tuple(SHAPE), device).cpu(), expected)


def test_words_and_integers_are_the_same_and_floats_nearly(device: torch.device) -> None:
    ids = torch.arange(300) + 2**35
    there = ids.to(device)
    assert torch.equal(
        philox_words(KEY, ids, ids % 7, 9, device).cpu(), philox_words(KEY, ids, ids % 7, 9)
    )
    assert torch.equal(
        uniform_integers(KEY, there, there % 7, 9).cpu(), uniform_integers(KEY, ids, ids % 7, 9)
    )
    floats = gaussian(KEY, ids, ids % 7, tuple(SHAPE))
    drawn = gaussian(KEY, there, there % 7, tuple(SHAPE), device).cpu()
    torch.testing.assert_close(drawn, floats, rtol=2e-7, atol=1e-9)


def test_float32_votes_are_those_of_the_cpu_but_for_ties(device: torch.device) -> None:
    votes = pool(network(), device).count(slices())
    differing = abs(votes - pool(network(), torch.device("cpu")).count(slices())).sum() // 2
    assert votes.sum() == 450
    assert differing <= 2, (
        "expected at most a few of 450 copies so near a border that rounding decides"
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_recorded_network_votes_as_the_plain_one(dtype: str, device: torch.device) -> None:
    compiled = "cuda-graph" if device.type == "cuda" else "no"
    plain = pool(network(), device, dtype=dtype).count(slices())
    recorded = pool(network(), device, dtype=dtype, compiled=compiled)
    assert (recorded.count(slices()) == plain).all()
    assert (recorded.count(slices()) == plain).all(), "a second time, from the same recording"


@pytest.mark.parametrize("marked", [pytest.param(None, marks=GPU)])
def test_a_compiled_network_votes_nearly_as_the_plain_one(marked: None) -> None:
    there = torch.device("cuda")
    plain = pool(network(), there, dtype="bfloat16").count(slices())
    compiled = pool(network(), there, dtype="bfloat16", compiled="inductor").count(slices())
    assert compiled.sum() == 450
    assert abs(compiled - plain).sum() <= 2 * 0.05 * 450


def test_a_batch_is_drawn_and_voted_on_without_waiting(device: torch.device) -> None:
    votes = pool(
        network(),
        device,
        dtype="bfloat16",
        compiled="cuda-graph" if device.type == "cuda" else "no",
    )
    images = pictures(64).images.to(device)
    ids, samples = torch.arange(64, device=device), torch.arange(64, device=device)
    votes.network(votes.source.points("estimate", images, ids, samples))
    with no_waiting():
        for _ in range(3):
            found = votes.network(votes.source.points("estimate", images, ids, samples))
    assert int(found.bincount(minlength=11).sum()) == 64


@pytest.mark.parametrize(
    "attack",
    [None, SmoothAdvPGD(epsilon=0.5, steps=2), DDN(epsilon=0.5, steps=2)],
    ids=["gaussian", "smoothadv", "ddn"],
)
@pytest.mark.parametrize("graphs", [False, True])
def test_training_steps_do_not_wait(attack: Any, graphs: bool, device: torch.device) -> None:
    g = network().to(device)
    trainer = Trainer(attack=attack, cuda_graphs=graphs)
    stepper = Stepper(trainer, g, Ranks(), "bfloat16")
    source = as_source(pictures(48), Draws(0), device=device, augment=True, workers=0)
    for number, (x, y, ids) in enumerate(source.batches(torch.split(torch.arange(48), 6), 0)):
        if number < 5:  # keys are sent once, then a step is recorded
            noise = source.draws.noise(ids, 0, 2, x.shape[1:], Gaussian(0.25))
            stepper.step(x, y, noise, ids, lr=0.01, attack=attack, scale=1 / 6)
            continue
        with no_waiting():
            noise = source.draws.noise(ids, 0, 2, x.shape[1:], Gaussian(0.25))
            stepper.step(x, y, noise, ids, lr=0.01, attack=attack, scale=1 / 6)
    assert bool(torch.cat([p.detach().flatten() for p in stepper.parameters]).isfinite().all())
    assert float(stepper.meter.totals[3]) == 48


def train(
    device: torch.device, attack: Any, folder: Path | None = None, **options: Any
) -> tuple[Tensor, list[Any]]:
    g = helpers.classifier(channels=3).to(device)
    trainer = Trainer(
        **{
            "attack": attack,
            "num_noise": 2,
            "epochs": 3,
            "batch_size": 10,
            "lr": 0.02,
            "warmup_epochs": 2,
            "precision": "float32",
            **options,
        }
    )
    history = trainer.fit(g, helpers.images(channels=3), run_dir=folder, progress=False)
    return helpers.weights(g.cpu()), history


@pytest.mark.parametrize(
    "attack", [None, SmoothAdvPGD(epsilon=0.3, steps=2)], ids=["gaussian", "smoothadv"]
)
@pytest.mark.parametrize("graphs", [False, True])
def test_float32_training_is_nearly_that_of_the_cpu(
    attack: Any, graphs: bool, device: torch.device
) -> None:
    ours, history = train(device, attack, cuda_graphs=graphs)
    expected, plain = train(torch.device("cpu"), attack)
    assert torch.allclose(ours, expected, atol=2e-3)
    assert [row["train_loss"] for row in history] == pytest.approx(
        [row["train_loss"] for row in plain], abs=2e-3
    )
    assert [row["images"] for row in history] == [24] * 3


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_recorded_training_is_that_of_single_steps(optimizer: str, device: torch.device) -> None:
    """Many epochs with mini-batches of two sizes, a growing epsilon and a falling rate."""
    options: dict[str, Any] = {
        "optimizer": optimizer,
        "epochs": 8,
        "schedule": "one-cycle",
        "clip_grad_norm": 1.0,
        "augment": True,
    }
    attack = SmoothAdvPGD(epsilon=0.3, steps=2)
    recorded, plain = (
        train(device, attack, cuda_graphs=graphs, **options)[0] for graphs in (True, False)
    )
    assert torch.allclose(recorded, plain, atol=2e-3)


def test_bfloat16_training_stays_finite_and_learns(device: torch.device) -> None:
    weights, history = train(device, None, precision="bfloat16", epochs=15, lr=0.05)
    assert bool(weights.isfinite().all())
    assert history[-1]["train_loss"] < 0.95 * history[0]["train_loss"]


def test_training_resumes(device: torch.device, tmp_path: Path) -> None:
    whole, _ = train(device, SmoothAdvPGD(epsilon=0.3, steps=2))
    left = [5]

    def stop(epoch: int, step: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    g = helpers.classifier(channels=3).to(device)
    options: dict[str, Any] = {
        "attack": SmoothAdvPGD(epsilon=0.3, steps=2),
        "num_noise": 2,
        "epochs": 3,
        "batch_size": 10,
        "lr": 0.02,
        "warmup_epochs": 2,
        "precision": "float32",
    }
    with pytest.raises(KeyboardInterrupt):
        Trainer(**options, checkpoint_seconds=1e-9).fit(
            g, helpers.images(channels=3), run_dir=tmp_path, callback=stop, progress=False
        )
    assert torch.allclose(train(device, options["attack"], tmp_path)[0], whole, atol=2e-3)


def test_certification_resumes_and_says_where_it_ran(device: torch.device, tmp_path: Path) -> None:
    g, data = network().to(device), pictures(6)
    settings = CertifySettings(n=500, n0=50, batch_size=128, precision="float32", compile="never")
    whole = certify_dataset(g, data, tmp_path / "whole", settings, progress=False)
    journal = (tmp_path / "whole" / "certificates.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "certificates.jsonl").write_bytes(b"".join(journal[:4]))
    again = certify_dataset(g, data, tmp_path / "cut", settings, progress=False)
    assert whole.counts is not None
    assert again.counts is not None
    assert (whole.counts == again.counts).all()
    assert (whole.radius == again.radius).all()
    assert whole.provenance["numerics"]["device"] == device.type
    assert whole.provenance["numerics"]["tf32"] is False


def test_a_certificate_says_whether_float32_was_rounded_to_tf32(device: torch.device) -> None:
    torch.backends.cudnn.allow_tf32 = True  # the fixture sets it back
    result = certify(
        network().to(device), pictures(1).images, n=100, n0=10, precision="float32", compile="never"
    )
    assert result.provenance["numerics"]["tf32"] is (device.type == "cuda")


def test_certificates_do_not_depend_on_the_batch(device: torch.device) -> None:
    """In float32 the batch size may change the last bits of the logits, but hardly a vote."""
    g, x = network().to(device), pictures(3).images
    counts = [
        certify(g, x, n=400, n0=40, batch_size=size, precision="float32", compile="never").counts
        for size in (64, 250)
    ]
    assert int((counts[0] - counts[1]).abs().sum()) <= 4


@pytest.mark.parametrize("marked", [pytest.param(None, marks=GPU)])
def test_a_pass_of_the_default_size_needs_little_memory(marked: None) -> None:
    torch.manual_seed(0)
    g = SmoothedClassifier(MODELS.create("resnet110", num_classes=10), 0.25, 10).to("cuda").eval()
    shape, image = torch.Size((3, 32, 32)), torch.zeros(3, 32, 32, dtype=torch.uint8)
    profile = Profile("cuda", "", "bfloat16", batch=4096, compiled="cuda-graph")
    votes = VotePool(FixedBatchNetwork(g, profile), noisy_images("integer", 0.25, 0, shape), shape)
    torch.cuda.reset_peak_memory_stats()
    assert votes.count([Slice("estimate", image, 0, 0, 20_000)]).sum() == 20_000
    assert torch.cuda.max_memory_allocated() < 6 * 2**30


@pytest.mark.parametrize("backend", ["gloo", pytest.param("nccl", marks=GPU)])
def test_the_view_of_several_processes_trains_in_a_world_of_one(
    backend: str, tmp_path: Path
) -> None:
    """DDP with synchronised batch norm, as ``Ranks.wrap`` builds it, gives the plain gradients."""
    place = torch.device("cuda" if backend == "nccl" else "cpu")
    dist.init_process_group(backend, init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        base, x = (
            helpers.classifier(channels=3).base.to(place).train(),
            torch.rand(6, 3, 8, 8, device=place),
        )
        expected = torch.autograd.grad(base(x).square().sum(), list(base.parameters()))
        ranks = Ranks(0, 2)
        view = ranks.wrap(ranks.synchronised(base))
        view(x).square().sum().backward()
        total = Ranks(0, 2).total(torch.ones(2, device=place))
        agreed = Ranks(0, 2).agree(1.5, place)
    finally:
        dist.destroy_process_group()
    assert (total.tolist(), agreed) == ([1.0, 1.0], 1.5)
    for parameter, gradient in zip(base.parameters(), expected, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-4)


OVERFLOW = """
import torch
from rsmooth.noise import gaussian
ids = torch.full((2,), 2**32, device="cuda")
gaussian((0, 0), ids, ids, (1, 2, 2), "cuda").sum().item()
"""


@pytest.mark.parametrize("marked", [pytest.param(None, marks=GPU)])
def test_a_counter_that_would_wrap_ends_the_process(marked: None) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OVERFLOW],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode != 0
    assert "device-side assert" in done.stderr
