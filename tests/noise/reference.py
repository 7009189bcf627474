"""Plain, slow, independent Philox4x32-10 and grid sampler, on Python integers."""

from __future__ import annotations

from bisect import bisect_right

Counter = tuple[int, int, int, int]


def philox(counter: Counter, key: tuple[int, int]) -> Counter:
    """One block: Salmon et al. 2011, section 3.3, with ten rounds."""
    a, b, c, d = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * a, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c, 2**32)
        a, b, c, d = high1 ^ b ^ k0, low1, high0 ^ d ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return a, b, c, d


def block(key: tuple[int, int], image: int, sample: int, index: int) -> Counter:
    """A block of a sample, by the counter's layout."""
    return philox((index, sample, image % 2**32, image // 2**32), key)


def grid_word(key: tuple[int, int], image: int, sample: int, value: int) -> int:
    """The 64-bit word that decides a value, by the layout in rsmooth.noise.grid."""
    leading = sum(
        w << 32 * i for i, w in enumerate(block(key, image, sample, value // 8))
    ) >> 16 * (value % 8)
    low, high = block(key, image, sample, 2**31 + value // 2)[value % 2 * 2 :][:2]
    return (leading & 0xFFFF) << 48 | (high << 32 | low) >> 16


def grid_value(cuts: list[int], lowest: int, word: int) -> int:
    """The number of thresholds that do not exceed the word, from the lowest value up."""
    return lowest + bisect_right(cuts, word)
