"""What makes certificates of others unsound: here the guarantee holds, and would not otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from rsmooth.certify import certify
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.certify.votes.network import FixedBatchNetwork
from rsmooth.certify.votes.profile import Profile
from rsmooth.noise import GridSampler, derive_key
from rsmooth.smoothed import SmoothedClassifier
from tests.certify.nets import half_space, images, small_net

SIGMA, ALPHA, STREAMS, LARGEST_N = 0.25, 0.01, 100_000, 64
PIXEL, LAST_OF_CLASS_0 = 160, 128  # in grey levels
# The classifier is "255 z rounds to more than 128", that is z > 128.5 / 255: a half-line whose true
# radius is exact.
TRUE_RADIUS = (PIXEL - LAST_OF_CLASS_0 - 0.5) / 255


@pytest.fixture(scope="module")
def hits() -> NDArray[np.int64]:
    """Votes for class 1 among the first n = 1..64 copies of the pixel.

    For 100,000 images with noise of their own.
    """
    ids = torch.arange(STREAMS).repeat_interleave(LARGEST_N)
    samples = torch.arange(LARGEST_N).repeat(STREAMS)
    noise = GridSampler(SIGMA).sample(derive_key(0, "estimate"), ids, samples, (1,)).numpy()
    return (PIXEL + noise.reshape(STREAMS, LARGEST_N) > LAST_OF_CLASS_0).cumsum(axis=1)


def radii(hits: NDArray[np.int64], n: int) -> NDArray[np.float64]:
    """The certified radius of each stream after n copies."""
    table = np.asarray(radius_from_counts(np.arange(n + 1), n, SIGMA, ALPHA))
    return table[hits[:, n - 1]]


def test_radii_of_a_known_half_line_hold_at_every_n(hits: NDArray[np.int64]) -> None:
    # Each n has its own limit, the binomial quantile at 1e-7; a sound bound exceeds one with
    # probability 58 * 1e-7.
    allowed, most = stats.binom.isf(1e-7, STREAMS, ALPHA), 0
    for n in range(7, LARGEST_N + 1):
        failures = int((radii(hits, n) > TRUE_RADIUS).sum())
        assert failures <= allowed, f"at n={n}"
        most = max(most, failures)
    assert most > 0.5 * ALPHA * STREAMS, "expected a bound that is nowhere needlessly low"


def test_the_best_of_several_seeds_is_no_certificate(hits: NDArray[np.int64]) -> None:
    """What the docstring of ``certify`` warns of: 20 tries at alpha fail far more often."""
    tries = radii(hits, LARGEST_N).reshape(-1, 20)
    assert (tries > TRUE_RADIUS).mean() <= ALPHA
    assert (tries.max(axis=1) > TRUE_RADIUS).mean() > 5 * ALPHA


def test_the_bound_never_counts_the_votes_that_chose_the_class() -> None:
    """ISS counts its pilot samples again in the final bound; here it draws all n afresh."""
    g, x = small_net(), images(6)
    small, large = certify(g, x, n0=11, n=200), certify(g, x, n0=300, n=200)
    assert torch.equal(small.counts, large.counts)
    assert not torch.equal(small.selection, large.selection)
    assert (small.samples == 200).all()


def test_equal_images_have_noise_of_their_own() -> None:
    """Noise that images share makes them fail together; then nothing is known of their number."""
    g, x = half_space(), images(1).repeat(40, 1, 1, 1)
    counts = certify(g, x, n=1000, index=torch.arange(40)).counts[:, 1].double()
    share = float(counts.mean()) / 1000
    # The variance of 40 independent counts, against that of one binomial: outside of this with
    # probability below 1e-6.
    assert 0.2 < float(counts.var()) / (1000 * share * (1 - share)) < 2.5


class Zeros(nn.Module):
    """Logits of equal size in three classes, of which some are -0.0."""

    def __init__(self, negative: tuple[int, ...]) -> None:
        super().__init__()
        signs = torch.tensor([-0.0 if k in negative else 0.0 for k in range(3)])
        self.register_buffer("logits", torch.cat([signs, torch.tensor([-1.0])]))

    def forward(self, z: Tensor) -> Tensor:
        return self.logits.to(z.dtype).repeat(len(z), 1)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("negative", [(), (0,), (1,), (0, 1), (0, 1, 2)])
def test_minus_zero_ties_with_zero(negative: tuple[int, ...], dtype: str) -> None:
    g = SmoothedClassifier(Zeros(negative), SIGMA, 4)
    network = FixedBatchNetwork(
        g, Profile(device="cpu", device_name="", dtype=dtype, batch=8, compiled="no")
    )
    assert network(torch.zeros(8, 1, 2, 2)).tolist() == [0] * 8
