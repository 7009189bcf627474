import math

import numpy as np
import pytest
import torch
from scipy import stats

from rsmooth.noise import Laplace, Uniform, derive_key, draw, gaussian, uniform_integers
from rsmooth.registry import NOISES
from tests.noise.reference import block

KEY = derive_key(5, "train-noise", 3)
IMAGES = torch.tensor([0, 7, 2**40])
SAMPLES = torch.tensor([0, 2**32 - 1, 4])


def test_values_are_box_muller_of_the_words():
    noise = gaussian(KEY, IMAGES, SAMPLES, (1, 2, 3))
    assert (noise.dtype, noise.shape) == (torch.float32, (3, 1, 2, 3))
    expected = []
    for image, sample in zip(IMAGES.tolist(), SAMPLES.tolist(), strict=True):
        words = [word for index in range(2) for word in block(KEY, image, sample, index)]
        for first, second in zip(words[::2], words[1::2], strict=True):
            radius, angle = (
                math.sqrt(-2 * math.log((first + 1) / 2**32)),
                2 * math.pi * second / 2**32,
            )
            expected += [radius * math.cos(angle), radius * math.sin(angle)]
        del expected[-2:]  # six values of eight
    torch.testing.assert_close(noise.flatten(), torch.tensor(expected), rtol=2e-7, atol=1e-9)


def test_distribution_is_standard_normal():
    # 786,432 values at a fixed seed; a correct generator fails at one seed in 10^5, twice.
    ids = torch.arange(256)
    noise = gaussian(derive_key(0, "method"), ids, ids, (3, 32, 32)).double().numpy()
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-5
    pairs = noise.reshape(-1, 2)  # cosine and sine of one angle
    assert abs(np.corrcoef(pairs[:, 0] ** 2, pairs[:, 1] ** 2)[0, 1]) * len(pairs) ** 0.5 < 4.4


STANDARD = {"gaussian": stats.norm(), "uniform": stats.uniform(-1, 2), "laplace": stats.laplace()}


@pytest.mark.parametrize("name", NOISES.own_names())
def test_draws_have_their_distribution_at_their_scale(name):
    # 786,432 values at a fixed seed; a correct generator fails at one seed in 10^5, twice each.
    ids, noise = torch.arange(256), NOISES.get(name)(0.3)
    drawn = draw(noise, derive_key(0, "method"), ids, ids, (3, 32, 32)).double().numpy()
    assert stats.kstest(drawn.ravel() / 0.3, STANDARD[name].cdf).pvalue > 1e-5
    pairs = drawn.reshape(-1, 2)  # the two values of two words
    assert abs(np.corrcoef(pairs[:, 0], pairs[:, 1])[0, 1]) * len(pairs) ** 0.5 < 4.4
    assert abs(np.corrcoef(*np.abs(pairs).T)[0, 1]) * len(pairs) ** 0.5 < 4.4


@pytest.mark.parametrize("name", NOISES.own_names())
def test_draws_of_every_noise_are_keyed(name):
    images, samples, noise = torch.arange(12) // 3, torch.arange(12) % 3, NOISES.get(name)(0.3)
    whole = draw(noise, KEY, images, samples, (3, 5, 5))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(draw(noise, KEY, images[order], samples[order], (3, 5, 5)), whole[order])
    assert torch.equal(draw(noise, KEY, images[:5], samples[:5], (3, 5, 5)), whole[:5])
    assert len(torch.unique(whole.flatten(1), dim=0)) == 12
    twice = draw(NOISES.get(name)(0.6), KEY, images, samples, (3, 5, 5))
    torch.testing.assert_close(twice, 2 * whole)
    other_epoch = draw(noise, derive_key(5, "train-noise", 4), images, samples, (3, 5, 5))
    assert (other_epoch != whole).float().mean() > 0.99


@pytest.mark.parametrize("name", ["uniform", "laplace"])
def test_values_are_the_quantiles_of_the_words(name):
    words = torch.tensor([0, 1, 2**30, 2**31, 3 * 2**30, 2**32 - 1])
    first, second = NOISES.get(name)(1.0).from_words(words, words.flip(0))
    quantiles = STANDARD[name].ppf((words.double().numpy() + 0.5) / 2**32)
    np.testing.assert_allclose(first.numpy(), quantiles, rtol=1e-12, atol=1e-12)
    assert torch.equal(second, first.flip(0))


def test_extreme_words_give_finite_values_at_the_ends_of_the_range():
    ends = torch.tensor([0, 2**31, 2**32 - 1])
    for first in Uniform(1.0).from_words(ends, ends.flip(0)):
        assert first.abs().max() < 1
    for first in Laplace(1.0).from_words(ends, ends.flip(0)):
        assert first.isfinite().all()
        assert first.max() == -first.min() == pytest.approx(32 * math.log(2))


def test_values_depend_on_neither_batch_nor_order():
    images, samples = torch.arange(12) // 3, torch.arange(12) % 3
    whole = gaussian(KEY, images, samples, (3, 5, 5))
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gaussian(KEY, images[order], samples[order], (3, 5, 5)), whole[order])
    assert torch.equal(gaussian(KEY, images[:5], samples[:5], (3, 5, 5)), whole[:5])
    other_epoch = gaussian(derive_key(5, "train-noise", 4), images, samples, (3, 5, 5))
    assert not (other_epoch == whole).any()


@pytest.mark.parametrize("bound", [1, 2, 9, 1000, 2**31])
def test_uniform_integers_scale_64_bits(bound):
    drawn = uniform_integers(KEY, IMAGES, SAMPLES, bound)
    words = [
        block(KEY, image, sample, 0)[:2]
        for image, sample in zip(IMAGES.tolist(), SAMPLES.tolist(), strict=True)
    ]
    assert drawn.tolist() == [(low + (high << 32)) * bound >> 64 for low, high in words]


def test_uniform_integers_carry_from_the_low_word(monkeypatch):
    # 3 * high fills its 32 bits, so that the carry of 3 * low decides.
    low, high = 2**32 - 1, 0x55555555
    monkeypatch.setattr(
        "rsmooth.noise.continuous.philox_words", lambda *_: torch.tensor([[low, high], [0, high]])
    )
    assert uniform_integers(KEY, IMAGES[:2], SAMPLES[:2], 3).tolist() == [1, 0]


def test_uniform_integers_are_uniform_and_differ_by_counter():
    # A correct generator fails at one seed in 10^5, three times.
    ids, key = torch.arange(20_000), derive_key(2, "augment", 0)
    first, second = (uniform_integers(key, ids, torch.full_like(ids, c), 9) for c in (0, 1))
    for drawn in (first, second):
        assert stats.chisquare(np.bincount(drawn.numpy(), minlength=9)).pvalue > 1e-5
    assert stats.chi2_contingency(np.histogram2d(first, second, bins=9)[0]).pvalue > 1e-5


@pytest.mark.parametrize("bound", [0, -3, 2**31 + 1])
def test_bounds_out_of_range_are_refused(bound):
    with pytest.raises(ValueError, match=r"bound within 1\.\.2\^31"):
        uniform_integers(KEY, IMAGES, SAMPLES, bound)


@pytest.mark.cuda
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="compares CUDA with the CPU: no CUDA device here"
)
def test_cuda_agrees_up_to_the_last_bit():
    noise = gaussian(KEY, IMAGES, SAMPLES, (3, 32, 32))
    on_cuda = gaussian(KEY, IMAGES, SAMPLES, (3, 32, 32), "cuda").cpu()
    torch.testing.assert_close(on_cuda, noise, rtol=2e-7, atol=1e-9)
    drawn = uniform_integers(KEY, IMAGES.cuda(), SAMPLES.cuda(), 9)
    assert torch.equal(drawn.cpu(), uniform_integers(KEY, IMAGES, SAMPLES, 9))
