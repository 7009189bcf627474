"""Draws: keyed by seed, stream, epoch and image, whatever batch an image is in."""

from __future__ import annotations

import hashlib

import torch

from rsmooth.noise.distributions import Gaussian
from rsmooth.noise.keys import derive_key
from rsmooth.noise.philox import philox_words
from rsmooth.training.draws import LABELLED, UNLABELLED, Draws


def test_noise_does_not_depend_on_the_batches_or_on_the_number_of_copies() -> None:
    ids, shape = torch.tensor([3, 900, 17, 5]), torch.Size((1, 4, 4))
    whole = Draws(0).noise(ids, 2, 3, shape, Gaussian(0.5))
    assert torch.equal(Draws(0).noise(ids[2:3], 2, 3, shape, Gaussian(0.5)), whole[2:3])
    assert torch.equal(Draws(0).noise(ids, 2, 1, shape, Gaussian(0.5)), whole[:, :1])
    assert torch.allclose(Draws(0).noise(ids, 2, 3, shape, Gaussian(1.0)), 2 * whole)


def test_every_draw_has_its_own_seed_stream_and_epoch() -> None:
    ids, shape = torch.arange(4), torch.Size((1, 4, 4))
    draws = [
        Draws(0).noise(ids, 0, 2, shape, Gaussian(1.0)),
        Draws(0).noise(ids, 1, 2, shape, Gaussian(1.0)),
        Draws(1).noise(ids, 0, 2, shape, Gaussian(1.0)),
        Draws(0, UNLABELLED).noise(ids, 0, 2, shape, Gaussian(1.0)),
    ]
    flat = torch.stack([copy for noise in draws for copy in noise.flatten(0, 1).flatten(1)])
    assert flat.unique(dim=0).shape == flat.shape
    assert Draws(0, LABELLED) == Draws(0)


def test_images_are_drawn_in_proportion() -> None:
    """20,000 draws among 4 images: each share within 5 standard errors (false alarm below 3e-6)."""
    weights = torch.tensor([1.0, 0.0, 2.0, 5.0]).repeat(5000)
    drawn = Draws(3).weighted(weights, 0)
    shares = torch.bincount(drawn % 4, minlength=4).double() / len(drawn)
    expected = torch.tensor([1, 0, 2, 5]) / 8
    error = (expected * (1 - expected) / len(drawn)).sqrt()
    assert shares[1] == 0
    assert bool(((shares - expected).abs() <= 5 * error).all())
    assert not torch.equal(drawn, Draws(3).weighted(weights, 1))
    assert torch.equal(drawn, Draws(3).weighted(weights, 0))


def test_uniform_numbers_are_keyed_by_purpose_image_and_epoch() -> None:
    ids = torch.tensor([7, 900])
    whole = Draws(0).uniform(ids, 2, "mixing", 3)
    assert whole.shape == (2, 3)
    assert whole.dtype == torch.float64
    assert bool(((whole >= 0) & (whole < 1)).all())
    assert torch.equal(Draws(0).uniform(ids[1:], 2, "mixing", 3), whole[1:])
    others = [Draws(0).uniform(ids, 2, "other", 3), Draws(0).uniform(ids, 3, "mixing", 3)]
    others.append(Draws(1).uniform(ids, 2, "mixing", 3))
    assert len({numbers.numpy().tobytes() for numbers in [whole, *others]}) == 4


def test_uniform_numbers_are_53_bits_of_two_words() -> None:
    ids = torch.tensor([7, 900])
    named = int.from_bytes(hashlib.sha256(b"mixing").digest()[:4], "little")
    key = derive_key(5, "method", LABELLED, 2, named)
    words = philox_words(key, ids, torch.zeros_like(ids), 6, ids.device).tolist()
    expected = [
        [(row[2 * j] * 2**21 + row[2 * j + 1] // 2**11) / 2**53 for j in range(3)] for row in words
    ]
    assert Draws(5).uniform(ids, 2, "mixing", 3).tolist() == expected


def test_orders_are_permutations_of_their_own() -> None:
    orders = [Draws(0).order(50, 0), Draws(0).order(50, 1), Draws(1).order(50, 0)]
    assert all(torch.equal(order.sort().values, torch.arange(50)) for order in orders)
    assert len({tuple(order.tolist()) for order in orders}) == 3
