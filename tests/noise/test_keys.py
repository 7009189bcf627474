import hashlib

import numpy as np
import pytest
import torch

from rsmooth.noise import PROTOCOL, PURPOSES, derive_key, gaussian
from rsmooth.noise.keys import check_counters


def test_key_is_the_head_of_sha256_over_seed_purpose_protocol():
    digest = hashlib.sha256(f"7|estimate|{PROTOCOL}".encode()).digest()
    assert derive_key(7, "estimate") == tuple(
        int.from_bytes(digest[i : i + 4], "little") for i in (0, 4)
    )


def test_keys_of_all_purposes_seeds_and_contexts_differ():
    keys = {
        derive_key(seed, purpose, *context)
        for seed in (0, 1, -1, 2**70)
        for purpose in PURPOSES
        for context in ((), (0,), (1,), (11,), (1, 1))
    }
    assert len(keys) == 4 * len(PURPOSES) * 5


def test_unknown_purpose_and_negative_context_are_refused():
    with pytest.raises(ValueError, match=r"expected a purpose among select, .* got 'estimation'"):
        derive_key(0, "estimation")
    with pytest.raises(ValueError, match="non-negative context"):
        derive_key(0, "train-noise", -1)


@pytest.mark.parametrize("seed", [0.5, 0.0, True, False, "0", None, np.float64(1)])
def test_a_seed_that_is_no_integer_is_refused(seed):
    """Rounded, 0.5 would draw the noise of seed 0 again."""
    with pytest.raises(ValueError, match="expected an integer seed, got"):
        derive_key(seed, "estimate")
    with pytest.raises(ValueError, match="expected an integer context, got"):
        derive_key(0, "train-noise", seed)


def test_integers_of_numpy_are_seeds_too():
    assert derive_key(np.int64(7), "estimate", np.uint8(3)) == derive_key(7, "estimate", 3)


def ids(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int64)


@pytest.mark.parametrize(
    ("images", "samples", "message"),
    [
        (ids(-1), ids(0), "image_ids >= 0"),
        (ids(0), ids(-1), "sample_ids within 0"),
        (ids(0, 1), ids(0, 2**32), "sample_ids from 0 to 4294967296"),
        (ids(0, 1), ids(0), "as many sample_ids as image_ids"),
        (ids(0).int(), ids(0), "image_ids as int64"),
        (ids(0), ids(0)[None], r"sample_ids as int64 \(B,\)"),
    ],
)
def test_counters_that_would_wrap_are_refused(images, samples, message):
    with pytest.raises(ValueError, match=message):
        check_counters(images, samples)
    with pytest.raises(ValueError, match=message):
        gaussian((0, 0), images, samples, (1, 2, 2))


def test_the_widest_counters_are_accepted():
    check_counters(ids(2**63 - 1), ids(2**32 - 1))
    check_counters(ids(), ids())


def test_ids_on_a_device_are_not_read_back():
    """A meta tensor has no values: looking at them would be an error."""
    elsewhere = ids(0, 1).to("meta")
    check_counters(elsewhere, elsewhere)
    with pytest.raises(ValueError, match="as many sample_ids as image_ids"):
        check_counters(elsewhere, elsewhere[:1])
    with pytest.raises(ValueError, match="on one device"):
        check_counters(elsewhere, ids(0, 1))
