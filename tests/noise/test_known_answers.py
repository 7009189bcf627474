"""The known answers, computed a second time on Python integers; certification refuses others."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rsmooth.certify import certify
from rsmooth.noise import known_answers as answers
from rsmooth.noise import philox
from rsmooth.noise.keys import derive_key
from rsmooth.noise.known_answers import (
    IMAGE,
    LENGTH,
    SAMPLE,
    SUMS,
    VECTORS,
    verify_known_answers,
)
from tests.certify.nets import images, small_net
from tests.noise.reference import grid_value, grid_word
from tests.noise.reference import philox as on_integers

CPU = torch.device("cpu")


def test_the_answers_are_those_of_the_reference() -> None:
    for counter, key, words in VECTORS:
        assert on_integers(counter, key) == words
    key = derive_key(0, "estimate")
    words = [grid_word(key, IMAGE, SAMPLE, at) for at in range(LENGTH)]
    for noise, wanted in SUMS:
        limits = noise.thresholds()
        cuts = limits.values.tolist()
        values = [grid_value(cuts, limits.lowest, word) for word in words]
        assert sum(at * value for at, value in enumerate(values, start=1)) == wanted


def test_this_machine_gives_them() -> None:
    verify_known_answers(CPU)


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (philox, "ROUNDS", 7),
        (philox, "MULTIPLIERS", (0xD2511F53, 0xCD9E8D55)),
        (answers, "philox_torch", lambda *words: words[:4]),
    ],
)
def test_a_broken_generator_certifies_nothing(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object
) -> None:
    verify_known_answers.cache_clear()
    monkeypatch.setattr(module, name, value)
    philox.device_keys.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="known answers of the noise generator on cpu"):
            certify(small_net(), images(1), n=20)
    finally:
        verify_known_answers.cache_clear()
        philox.device_keys.cache_clear()


def test_a_sampler_of_another_scale_certifies_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    table = answers.GridSampler
    verify_known_answers.cache_clear()
    monkeypatch.setattr(
        answers, "GridSampler", lambda noise: table(type(noise)(noise.scale_value * 0.97))
    )
    try:
        with pytest.raises(RuntimeError, match="known values of gaussian"):
            verify_known_answers(CPU)
    finally:
        verify_known_answers.cache_clear()


def test_a_check_is_a_p_value() -> None:
    assert answers.exact("x", True).passed
    assert not answers.exact("x", False).passed
    assert answers.Check("x", 1e-11, "").passed
    assert not answers.Check("x", np.nan, "").passed
