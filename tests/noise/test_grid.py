import numpy as np
import pytest
import torch
from scipy import stats

from rsmooth.noise import GridSampler, Laplace, Uniform, add_grid_noise, derive_key, grid
from rsmooth.noise.philox import device_keys
from rsmooth.registry import NOISES
from tests.noise.reference import grid_value, grid_word

KEY = derive_key(11, "estimate")
CPU = torch.device("cpu")
SHAPE = (3, 5, 7)  # 105 values: a leading block and a trailing pair are left unfinished
IMAGES = torch.tensor([0, 1, 2**32 + 5, 2**63 - 1])
SAMPLES = torch.tensor([0, 2**32 - 1, 9, 3])


def on_device(
    sampler: GridSampler, kernel: str, images=IMAGES, samples=SAMPLES, values: int = 105
) -> torch.Tensor:
    """The kernels meant for other devices, run on the CPU."""
    limits = sampler._thresholds
    cuts = torch.from_numpy(limits.values.view(np.int64)) ^ grid.SIGN
    if kernel == "dense":
        return grid.dense(images, samples, device_keys(KEY, CPU), cuts, limits.lowest, values)
    table = torch.from_numpy(sampler._table)
    return grid.lazy(
        images,
        samples,
        device_keys(KEY, CPU),
        cuts,
        table,
        limits.lowest,
        values,
        len(images) * values,
    )


@pytest.mark.parametrize("noise", ["0.12", "1", Uniform(0.5), Uniform(0.123), Laplace(0.2)])
def test_every_implementation_equals_the_plain_one(noise):
    sampler = GridSampler(noise)
    cuts, lowest = sampler._thresholds.values.tolist(), sampler._thresholds.lowest
    expected = [
        [grid_value(cuts, lowest, grid_word(KEY, image, sample, v)) for v in range(105)]
        for image, sample in zip(IMAGES.tolist(), SAMPLES.tolist(), strict=True)
    ]
    noise = sampler.sample(KEY, IMAGES, SAMPLES, SHAPE)
    assert (noise.dtype, noise.shape) == (torch.int16, (4, *SHAPE))
    assert noise.flatten(1).tolist() == expected
    assert on_device(sampler, "dense").tolist() == expected
    assert on_device(sampler, "lazy").tolist() == expected


@pytest.mark.parametrize("sigma", [0.25, "4"])
def test_large_draws_agree(sigma):
    sampler, ids = GridSampler(sigma), torch.arange(40)
    noise = sampler.sample(KEY, ids, ids, (3, 32, 32)).flatten(1)
    for kernel in ("dense", "lazy"):
        assert torch.equal(on_device(sampler, kernel, ids, ids, 3072), noise)


@pytest.fixture
def chosen_words(monkeypatch):
    """Makes every implementation read the given 64-bit words in place of Philox's."""

    def choose(words: list[int]) -> None:
        full = np.array(words + [0] * (-len(words) % 8), dtype=np.uint64)
        leading = torch.from_numpy(
            (full >> np.uint64(48)).astype(np.uint16).view(np.int64).reshape(1, -1, 2)
        )
        # trailing bits stand above 16 unused ones
        trailing = torch.from_numpy((full << np.uint64(16)).view(np.int64).reshape(-1, 2))

        def pairs_at(blocks, samples, images, key, *, out):
            out[:] = trailing.numpy().view(np.uint64)[(blocks - np.uint64(2**31)).astype(np.int64)]

        def philox_torch(blocks, samples, low, high, keys):
            pairs = trailing[blocks - 2**31]
            return tuple(pairs[..., i // 2] >> 32 * (i % 2) & 0xFFFFFFFF for i in range(4))

        monkeypatch.setattr(grid, "sample_pairs", lambda *_: leading)
        monkeypatch.setattr(grid, "pairs_torch", lambda *_: leading)
        monkeypatch.setattr(grid, "pairs_at", pairs_at)
        monkeypatch.setattr(grid, "philox_torch", philox_torch)

    return choose


@pytest.mark.parametrize("noise", ["0.12", "0.25", "0.5", "1", Uniform(0.5), Laplace(0.2)])
def test_edge_words_are_decided_exactly(noise, chosen_words):
    sampler = GridSampler(noise)
    cuts, lowest = sampler._thresholds.values.tolist(), sampler._thresholds.lowest
    edges = [min(max(cut + step, 0), 2**64 - 1) for cut in cuts for step in (-1, 0, 1)]
    random = np.random.default_rng(0).integers(0, 2**64, 20_000, dtype=np.uint64).tolist()
    words = [0, 2**48 - 1, 2**63 - 1, 2**63, 2**64 - 2**48, 2**64 - 1, *edges, *random]
    chosen_words(words)
    expected = [grid_value(cuts, lowest, word) for word in words]
    assert {lowest, -lowest} < set(expected)
    one = torch.zeros(1, dtype=torch.int64)
    assert sampler.sample(KEY, one, one, (len(words),)).flatten().tolist() == expected
    for kernel in ("dense", "lazy"):
        assert on_device(sampler, kernel, one, one, len(words)).flatten().tolist() == expected


STANDARD = {"gaussian": stats.norm(), "uniform": stats.uniform(-1, 2), "laplace": stats.laplace()}


@pytest.mark.parametrize("name", NOISES.own_names())
@pytest.mark.parametrize("scale", [0.12, 0.5, 0.501])  # 0.501: the outer uniform cell is a part
def test_cells_have_their_exact_probabilities(name, scale):
    # 3.1 million values at a fixed seed; a correct sampler fails at one seed in 10^5.
    ids, noise = torch.arange(1024), NOISES.get(name)(scale)
    k = GridSampler(noise).sample(derive_key(1, "select"), ids, ids, (3, 32, 32)).numpy().ravel()
    reach = int(255 * scale * 3.5)
    edges = np.arange(-reach, reach + 1)  # one cell for each k, and the two tails
    observed = np.bincount(np.searchsorted(edges, k), minlength=len(edges) + 1)
    cumulative = STANDARD[name].cdf((edges + 0.5) / (255 * scale))
    expected = np.diff(cumulative, prepend=0.0, append=1.0) * k.size
    possible = expected > 1e-6  # a uniform pixel never leaves its width
    assert not observed[~possible].any()
    assert expected[possible].min() > 5
    assert stats.chisquare(observed[possible], expected[possible]).pvalue > 1e-5


def test_neighbouring_values_are_uncorrelated():
    # Values that share a block, sample or image: |correlation| * sqrt(n) above 5 has probability
    # 6e-7 each.
    ids = torch.arange(64)
    k = (
        GridSampler(0.25)
        .sample(KEY, ids.repeat_interleave(16), torch.arange(16).repeat(64), (3072,))
        .double()
    )
    k = k.view(64, 16, 3072)
    for a, b in (
        (k[..., :-1], k[..., 1:]),
        (k[..., :-8], k[..., 8:]),
        (k[:, :-1], k[:, 1:]),
        (k[:-1], k[1:]),
    ):
        assert (
            abs(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1]) * a.numel() ** 0.5
            < 5
        )


def test_a_value_depends_on_neither_batch_nor_order_nor_count():
    sampler = GridSampler(0.25)
    images, samples = torch.arange(6).repeat_interleave(4), torch.arange(4).repeat(6)
    whole = sampler.sample(KEY, images, samples, SHAPE)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler.sample(KEY, images[order], samples[order], SHAPE), whole[order])
    single = [sampler.sample(KEY, images[i : i + 1], samples[i : i + 1], SHAPE) for i in range(24)]
    assert torch.equal(torch.cat(single), whole)
    # A larger n keeps the first samples.
    assert torch.equal(sampler.sample(KEY, images[:3], samples[:3], SHAPE), whole[:3])
    assert torch.equal(sampler.sample(KEY, images, samples, (9,)), whole.flatten(1)[:, :9])
    assert len(torch.unique(whole.flatten(1), dim=0)) == 24
    other = sampler.sample(derive_key(11, "select"), images, samples, SHAPE)
    assert not (other.flatten(1) == whole.flatten(1)).all(dim=1).any()


def test_empty_draws():
    none = torch.zeros(0, dtype=torch.int64)
    assert GridSampler(0.25).sample(KEY, none, none, SHAPE).shape == (0, *SHAPE)
    assert GridSampler(0.25).sample(KEY, IMAGES, SAMPLES, (3, 0, 2)).shape == (4, 3, 0, 2)


def test_a_shape_beyond_the_counter_is_refused():
    with pytest.raises(ValueError, match=r"at most 2\^32 values per image, got 4295098369"):
        GridSampler(0.25).sample(KEY, IMAGES, SAMPLES, (65537, 65537))


def test_inputs_depend_on_integer_sums_alone():
    x = torch.randint(
        0, 128, (4, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    shift = torch.randint(
        0, 128, x.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    noise = GridSampler(0.25).sample(KEY, IMAGES, SAMPLES, SHAPE)
    points, moved = add_grid_noise(x, noise), add_grid_noise(x + shift, noise - shift)
    assert points.dtype == torch.float32
    assert torch.equal(points, moved)
    assert points.min() < 0  # never clamped
    assert torch.equal(points, (x.int() + noise.int()).float() / 255)


def test_every_sum_has_one_float_of_its_own():
    sums = torch.arange(-32_512, 32_513, dtype=torch.int32)
    for pixel in (0, 1, 254):
        points = add_grid_noise(
            torch.full_like(sums, pixel, dtype=torch.uint8), (sums - pixel).to(torch.int16)
        )
        assert torch.equal(points, sums.float() / 255)
        assert len(points.unique()) == len(sums)


def test_floating_point_noise_gives_the_image_away_and_the_grid_does_not():
    """The share of fl(0 + e) that no float32 e' reaches as fl(1/255 + e').

    Voracek and Hein 2023.
    """
    e = np.random.default_rng(0).standard_normal(50_000).astype(np.float32) * np.float32(0.25)
    pixel = np.float32(1) / np.float32(255)
    # Candidates within four units in the last place around e - 1/255.
    steps = np.arange(-4, 5)[:, None]
    nearest = e - pixel
    candidates = nearest + steps * np.spacing(nearest)
    share = 1 - ((pixel + candidates.astype(np.float32)) == e).any(axis=0).mean()
    assert 0.02 < share < 0.04  # about 3 % of the values betray that the pixel was 0
    k = torch.arange(-600, 600, dtype=torch.int16)
    black, gray = (add_grid_noise(torch.full_like(k, p, dtype=torch.uint8), k) for p in (0, 1))
    # Every value is reached from the other pixel.
    assert set(black[1:].tolist()) == set(gray[:-1].tolist())


def test_images_may_broadcast_over_samples():
    image = torch.arange(105, dtype=torch.uint8).view(1, *SHAPE)
    noise = GridSampler(0.25).sample(KEY, IMAGES, SAMPLES, SHAPE)
    assert torch.equal(
        add_grid_noise(image, noise), add_grid_noise(image.repeat(4, 1, 1, 1), noise)
    )


@pytest.mark.parametrize(
    ("images", "noise", "message"),
    [
        (
            torch.zeros(1, 3, 2, 2),
            torch.zeros(1, 3, 2, 2, dtype=torch.int16),
            "uint8 images and int16 noise, got torch.fl",
        ),
        (torch.zeros(1, dtype=torch.uint8), torch.zeros(1), "got torch.uint8 and torch.float32"),
        (
            torch.zeros(4, 2, dtype=torch.uint8),
            torch.zeros(1, 2, dtype=torch.int16),
            "broadcast to the noise",
        ),
    ],
)
def test_anything_but_pixels_and_grid_noise_is_refused(images, noise, message):
    with pytest.raises(ValueError, match=message):
        add_grid_noise(images, noise)


@pytest.mark.cuda
@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="compares CUDA with the CPU: no CUDA device here"
)
def test_cuda_draws_the_same_integers(monkeypatch):
    sampler, ids = GridSampler(0.5), torch.arange(64)
    expected = sampler.sample(KEY, ids, ids, (3, 32, 32))
    assert torch.equal(sampler.sample(KEY, ids, ids, (3, 32, 32), "cuda").cpu(), expected)
    compiled = grid.CompiledOnceWorthIt(grid.dense, after=0, least=0)
    monkeypatch.setattr(grid, "compiled_dense", compiled)
    assert torch.equal(sampler.sample(KEY, ids, ids, (3, 32, 32), "cuda").cpu(), expected), (
        compiled.status
    )
    images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(
        add_grid_noise(images.cuda(), expected.cuda()).cpu(), add_grid_noise(images, expected)
    )
