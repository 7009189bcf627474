"""The noise of old and new records."""

import pytest

from rsmooth.noise.distributions import Gaussian, Laplace, Uniform
from rsmooth.plumbing.errors import RecordError
from rsmooth.records.noise import float_noise, noise_words, recorded_noise

OLD = {"sigma": 0.25, "noise": {"kind": "grid", "sampler": "x"}}


def new(noise, arithmetic="integer"):
    return {"noise": {"distribution": noise.record(), "arithmetic": arithmetic}}


@pytest.mark.parametrize(
    ("provenance", "noise", "words"),
    [
        ({}, None, None),
        (OLD, Gaussian(0.25), "σ=0.25"),
        ({"sigma": 0.5, "noise": {"kind": "float"}}, Gaussian(0.5), "σ=0.5"),
        ({"sigma": 0.12, **new(Gaussian(0.12))}, Gaussian(0.12), "σ=0.12"),
        (new(Uniform(0.5)), Uniform(0.5), "uniform λ=0.5"),
        (new(Laplace(0.2)), Laplace(0.2), "laplace scale=0.2"),
        ({"noise": "integer"}, None, None),
        ({"sigma": 0, "statement": {"norm": "linf", "kind": "deterministic"}}, None, None),
    ],
)
def test_noise_is_read_from_old_and_new_records(provenance, noise, words):
    assert recorded_noise(provenance) == noise
    assert noise_words(provenance) == words


def test_float_noise_is_known_by_either_name():
    assert [float_noise(each) for each in (OLD, {}, {"noise": {"kind": "float"}})] == [
        False,
        False,
        True,
    ]
    assert float_noise(new(Uniform(0.5), "float"))
    assert not float_noise(new(Uniform(0.5)))


@pytest.mark.parametrize("sigma", [{}, {"sigma": 0.25}])
@pytest.mark.parametrize(
    "said",
    [
        "laplace",
        0.2,
        {"name": "laplace", "scale": 0.2},
        {"distribution": "laplace"},
        {"distribution": "laplace", "arithmetic": "integer"},
    ],
)
def test_noise_said_in_another_way_does_not_pass_for_gaussian(said, sigma):
    with pytest.raises(RecordError, match=r"expected noise as .*, got .*(laplace|0\.2)"):
        recorded_noise({"noise": said, **sigma})


@pytest.mark.parametrize(
    "said", [{"name": "cauchy"}, {"name": "uniform", "half_width": "x"}, {"name": "uniform"}, {}]
)
def test_an_unknown_noise_is_refused(said):
    with pytest.raises(RecordError, match="noise is not known here"):
        recorded_noise({"noise": {"distribution": said}})
