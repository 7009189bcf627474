"""Noise for training: the values of float64 and library functions, and the same bits compiled."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor

from rsmooth.noise import derive_key, gaussian, normal
from rsmooth.noise.compiled import CompiledOnceWorthIt
from rsmooth.noise.distributions import Gaussian, Laplace
from rsmooth.noise.normal import box_muller, expect_normals, standard_normal
from rsmooth.training.draws import Draws

KEY = derive_key(5, "train-noise", 3)
# Where the branches of the formulas meet: powers of two, eighths of a turn, sqrt(1/2).
EDGES = sorted(
    {
        word
        for power in range(33)
        for base in (2**power, 2**power + 2**29, int(2**power * math.sqrt(0.5)))
        for step in (-2, -1, 0, 1)
        if 0 <= (word := base + step) < 2**32
    }
)


def test_values_are_box_muller_at_all_edges() -> None:
    first, second = (
        words.flatten() for words in torch.meshgrid(*[torch.tensor(EDGES)] * 2, indexing="ij")
    )
    for found, wanted in zip(
        box_muller(first, second), Gaussian(1.0).from_words(first, second), strict=True
    ):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 5, 7), (1,), (0, 3)])
def test_values_are_those_of_float64(shape: tuple[int, ...]) -> None:
    ids, samples = torch.tensor([0, 7, 2**40]), torch.tensor([0, 2**32 - 1, 4])
    found = standard_normal(KEY, ids, samples, shape)
    assert (found.dtype, found.shape) == (torch.float32, (3, *shape))
    wanted = gaussian(KEY, ids, samples, shape)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


def test_the_law_is_the_standard_normal_one() -> None:
    # 786,432 values at a fixed seed; a correct generator fails at one seed in 10^5.
    ids = torch.arange(256)
    values = standard_normal(derive_key(0, "method"), ids, ids, (3, 32, 32)).double().numpy()
    assert stats.kstest(values.ravel(), "norm").pvalue > 1e-5


def test_values_depend_on_neither_batch_nor_order() -> None:
    images, samples = torch.arange(60) // 3, torch.arange(60) % 3
    whole = standard_normal(KEY, images, samples, (3, 32, 32))  # more than one chunk
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        standard_normal(KEY, images[order], samples[order], (3, 32, 32)), whole[order]
    )
    assert torch.equal(standard_normal(KEY, images[:5], samples[:5], (3, 32, 32)), whole[:5])


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> CompiledOnceWorthIt:
    """The kernel, to be compiled at its first call."""
    kernel = CompiledOnceWorthIt(normal.normals, after=0, least=0)
    monkeypatch.setattr(normal, "compiled_normals", kernel)
    return kernel


def test_compiled_values_have_the_same_bits(
    compiled: CompiledOnceWorthIt, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, few = torch.arange(100), torch.arange(7)
    far = ids + 2**40
    found = [standard_normal(KEY, far, ids, (3, 33, 31)), standard_normal(KEY, few, few, (1, 5, 7))]
    if compiled.status != "compiled":
        pytest.skip(compiled.status)
    monkeypatch.setattr(normal, "compiled_normals", lambda *_: None)
    assert torch.equal(found[0], standard_normal(KEY, far, ids, (3, 33, 31)))
    assert torch.equal(found[1], standard_normal(KEY, few, few, (1, 5, 7)))


def test_a_compiler_of_other_bits_is_not_used(
    compiled: CompiledOnceWorthIt, monkeypatch: pytest.MonkeyPatch
) -> None:
    def contracted(*arguments: Tensor | int) -> Tensor:
        return normal.normals(*arguments) + 1  # type: ignore[arg-type]

    monkeypatch.setattr(torch, "compile", lambda *_, **__: contracted)
    ids = torch.arange(3)
    wanted = gaussian(KEY, ids, ids, (3, 5, 5))
    torch.testing.assert_close(
        standard_normal(KEY, ids, ids, (3, 5, 5)), wanted, rtol=1e-6, atol=1e-6
    )
    assert "other bits" in compiled.status


def test_a_training_draws_gaussian_noise_so_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, shape = torch.arange(4), torch.Size((3, 5, 5))
    draws = Draws(seed=5)
    found = draws.noise(ids, 3, 2, shape, Gaussian(0.25))
    key, twice, copies = derive_key(5, "train-noise", 0, 3), ids.repeat_interleave(2), [0, 1] * 4
    wanted = 0.25 * standard_normal(key, twice, torch.tensor(copies), tuple(shape))
    assert torch.equal(found.flatten(0, 1), wanted)
    monkeypatch.setattr("rsmooth.training.draws.standard_normal", None)
    assert draws.noise(ids, 3, 2, shape, Laplace(0.25)).isfinite().all()


def test_announced_noise_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    announced: list[int] = []
    monkeypatch.setattr(normal.compiled_normals, "expect", announced.append)
    expect_normals(4000)
    expect_normals(4000, "cuda")
    assert announced == [1000]
