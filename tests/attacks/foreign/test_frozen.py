"""Under frozen noise g is one function: the images of attacks score alike in any batch."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rsmooth.attacks import SmoothAdvPGD, to_foolbox
from rsmooth.attacks.foreign.foolbox import _import_foolbox
from rsmooth.noise.distributions import Laplace
from rsmooth.registry import MODELS
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.toys import base_labels, smooth_net
from tests.attacks.toys import images as toy_images

COPIES = 4


@pytest.fixture(scope="module")
def g() -> SmoothedClassifier:
    """An untrained network with convolutions and batch norm, whose answers an attack can change."""
    torch.manual_seed(1)
    base = MODELS.create("small-cnn", num_classes=4, in_channels=1).eval()
    return SmoothedClassifier(base, 0.25, 4).eval()


def images(count: int = 12) -> Tensor:
    return torch.rand((count, 1, 8, 8), generator=torch.Generator().manual_seed(2))


def labels(g: SmoothedClassifier, x: Tensor) -> Tensor:
    with g.frozen_noise(0, COPIES):
        return g(x).argmax(1)


def restarted(g: SmoothedClassifier, x: Tensor, y: Tensor) -> Tensor:
    """As AutoAttack goes about it: restarts on the images that still stand, in small batches."""
    best = x.clone()
    for start in range(3):
        with torch.no_grad():
            standing = (g(best).argmax(1) == y).nonzero().flatten()
        for part in standing.split(5):
            generator = torch.Generator().manual_seed(start)
            at = x[part] + 0.05 * torch.randn(x[part].shape, generator=generator)
            for _ in range(4):
                at = at.detach().requires_grad_()
                loss = nn.functional.cross_entropy(g(at), y[part], reduction="sum")
                (gradient,) = torch.autograd.grad(loss, at)
                length = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
                at = (at + 0.3 * gradient / length).clamp(0, 1)
            best[part] = at.detach()
    return best


def ours(g: SmoothedClassifier, x: Tensor, y: Tensor) -> Tensor:
    return SmoothAdvPGD(epsilon=0.8, steps=5)(g, x, y)


def foolboxs(name: str, **options: object) -> Callable[..., Tensor]:
    def attack(g: SmoothedClassifier, x: Tensor, y: Tensor) -> Tensor:
        torch.manual_seed(0)
        built = getattr(_import_foolbox().attacks, name)(**options)
        clipped: Tensor = built(to_foolbox(g), x, y, epsilons=0.8)[1]
        return clipped

    return attack


@pytest.mark.parametrize(
    "attack",
    [restarted, ours, foolboxs("L2PGD", steps=5), foolboxs("L2DeepFoolAttack", steps=5)],
    ids=["restarts", "ours", "L2PGD", "DeepFool"],
)
def test_attacked_images_score_alike_in_a_batch_shuffled_and_singly(
    g: SmoothedClassifier, attack: Callable[..., Tensor]
) -> None:
    x = images()
    y = labels(g, x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(3))
    with g.frozen_noise(0, COPIES), torch.random.fork_rng():
        x_adv = attack(g, x, y).detach()
        whole, shuffled = g(x_adv), g(x_adv[order])
        singly = torch.cat([g(one.unsqueeze(0)) for one in x_adv])
    # The noise is the same bit for bit; kernels of another batch size may round otherwise.
    torch.testing.assert_close(shuffled, whole[order], rtol=0, atol=1e-5)
    torch.testing.assert_close(singly, whole, rtol=0, atol=1e-5)
    assert torch.equal(singly.argmax(1), whole.argmax(1))
    assert (whole.argmax(1) != y).any(), "an attack that finds nothing would show nothing"


def test_images_share_one_noise_tensor_whatever_the_batch(g: SmoothedClassifier) -> None:
    x = images(3)
    with g.frozen_noise(seed=5, num_noise=COPIES):
        noise = g.frozen_sample(x)
        assert noise is not None
        assert noise.shape == (3, COPIES, 1, 8, 8)
        assert torch.equal(noise[0], noise[2])
        assert torch.equal(g.frozen_sample(x[1:2]), noise[:1])  # type: ignore[arg-type]
        drawn = g.sample_noise(x[:1], COPIES, torch.Generator().manual_seed(5))
        assert torch.equal(noise[:1], drawn)
    assert g.frozen_sample(x) is None


def test_our_attacks_see_the_frozen_noise_unless_they_are_given_other() -> None:
    g, x = smooth_net(), toy_images(3)
    y = base_labels(g, x)
    attack, seed = SmoothAdvPGD(epsilon=0.3, steps=3), torch.Generator
    with g.frozen_noise(7, COPIES):
        noise = g.frozen_sample(x)
        expected = attack(g, x, y, noise=noise)
        assert torch.equal(attack(g, x, y), expected)
        assert torch.equal(attack(g, x, y, num_noise=COPIES), expected)
        fresh = attack(g, x, y, num_noise=2, generator=seed().manual_seed(1))
    assert torch.equal(fresh, attack(g, x, y, num_noise=2, generator=seed().manual_seed(1)))
    assert not torch.equal(attack(g, x, y, generator=seed().manual_seed(1)), expected)


def test_each_thread_has_its_own_frozen_noise() -> None:
    torch.manual_seed(0)
    g = SmoothedClassifier(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), noise=Laplace(0.3), num_classes=4
    )
    x = images(4)
    expected = {}
    for seed in range(4):
        with g.frozen_noise(seed, 1 + seed):
            expected[seed] = g(x).detach()
    wrong: list[int] = []
    outside: list[bool] = []
    stop = threading.Event()

    def frozen(seed: int) -> None:
        for _ in range(100):
            with g.frozen_noise(seed, 1 + seed):
                if not torch.equal(g(x), expected[seed]):
                    wrong.append(seed)

    def fresh() -> None:
        while not stop.is_set():
            outside.append(torch.equal(g(x), g(x)))

    threads = [threading.Thread(target=frozen, args=(seed,)) for seed in range(4)]
    other = threading.Thread(target=fresh)
    other.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    other.join()
    assert wrong == []
    assert not any(outside), "a thread outside of the context sees fresh noise"
    assert g.num_noise == 16
    assert not torch.equal(g(x), g(x))


def test_contexts_nest(g: SmoothedClassifier) -> None:
    x = images(2)
    with g.frozen_noise(0, 2):
        first = g(x)
        with g.frozen_noise(1):
            assert not torch.equal(g(x), first)
        assert torch.equal(g(x), first)
    with torch.inference_mode(), g.frozen_noise(0, 2):
        assert torch.equal(g(x), first)
    with g.frozen_noise(0, 2):
        point = x.clone().requires_grad_()
        g(point).sum().backward()
        assert point.grad is not None
