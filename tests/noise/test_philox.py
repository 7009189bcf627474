import numpy as np
import pytest
import torch

from rsmooth.noise import derive_key, philox, philox_words
from rsmooth.noise.compiled import CompiledOnceWorthIt
from tests.noise.reference import block
from tests.noise.reference import philox as plain_philox

ONES = 0xFFFFFFFF
# The known-answer vectors that the authors of Philox publish with Random123 for philox4x32 with 10
# rounds.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
KEY = derive_key(3, "estimate")
IMAGES = torch.tensor([0, 1, 2**31, 2**32, 2**32 + 1, 2**63 - 1])
SAMPLES = torch.tensor([0, 2**32 - 1, 5, 2**31, 1, 77])


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers_in_every_implementation(counter, key, expected):
    assert plain_philox(counter, key) == expected
    words = philox.philox_numpy(*(np.array([word], dtype=np.uint64) for word in counter), key)
    assert tuple(int(word[0]) for word in words) == expected
    keys = torch.tensor(philox.round_keys(key))
    assert (
        tuple(map(int, philox.philox_torch(*(torch.tensor(word) for word in counter), keys)))
        == expected
    )


def test_words_follow_the_counter_layout():
    words = philox_words(KEY, IMAGES, SAMPLES, 10)
    assert words.shape == (6, 10)
    assert words.dtype == torch.int64
    for row, image, sample in zip(words.tolist(), IMAGES.tolist(), SAMPLES.tolist(), strict=True):
        assert row == [word for index in range(3) for word in block(KEY, image, sample, index)][:10]


def pairs(
    implementation: str, first: int, blocks: int, images: torch.Tensor = IMAGES
) -> torch.Tensor:
    samples = SAMPLES[: len(images)]
    if implementation == "numpy":
        ids = (philox.as_uint64(images), philox.as_uint64(samples))
        return torch.from_numpy(philox.pairs_numpy(*ids, KEY, first, blocks).view(np.int64))
    return philox.pairs_torch(
        images, samples, philox.device_keys(KEY, torch.device("cpu")), first, blocks
    )


@pytest.mark.parametrize(("first", "blocks"), [(0, 1), (0, 9), (2**31, 4), (2**32 - 3, 3), (0, 0)])
def test_numpy_equals_torch(first, blocks):
    assert torch.equal(pairs("numpy", first, blocks), pairs("torch", first, blocks))


def test_numpy_chunks_do_not_show(monkeypatch):
    whole = pairs("numpy", 0, 9)
    monkeypatch.setattr(philox, "_CHUNK", 20)  # two samples at a time
    assert torch.equal(pairs("numpy", 0, 9), whole)


def test_compiled_equals_uncompiled_and_serves_every_call(monkeypatch):
    whole = philox_words(KEY, IMAGES, SAMPLES, 1000)
    kernel = CompiledOnceWorthIt(philox.pairs_torch, after=0, least=0)
    monkeypatch.setattr(philox, "compiled_pairs", kernel)
    compiled = philox_words(KEY, IMAGES, SAMPLES, 1000)
    if kernel.status != "compiled":
        pytest.skip(f"no working compiler here: {kernel.status}")
    assert torch.equal(compiled, whole)
    assert torch.equal(philox_words(KEY, IMAGES[1:4], SAMPLES[1:4], 500), whole[1:4, :500])


def test_more_blocks_than_the_counter_holds_are_refused():
    with pytest.raises(ValueError, match=r"at most 2\^32 blocks per sample, got 4294967297"):
        philox_words(KEY, IMAGES, SAMPLES, 2**34 + 1)
    with pytest.raises(ValueError, match="words_per_sample >= 0"):
        philox_words(KEY, IMAGES, SAMPLES, -1)
