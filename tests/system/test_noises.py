"""Certification under every noise distribution, and under one that a test brings along."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from rsmooth import ABSTAIN, MODELS, PGD, SmoothAdvPGD, SmoothedClassifier
from rsmooth.certify import Certificates, CertifySettings, certify_dataset
from rsmooth.certify.cohen import certify, predict
from rsmooth.certify.proof.bounds import radius_from_counts
from rsmooth.data import ImageData
from rsmooth.noise import GridSampler, NoiseDistribution, derive_key, draw
from rsmooth.noise.distributions import Floats, noise_of_record
from rsmooth.noise.thresholds import BITS
from rsmooth.records.noise import recorded_noise
from rsmooth.registry import NOISES
from tests.certify.nets import PixelAbove

SCALE, N, ALPHA = 0.25, 2000, 1e-3
MODES: dict[str, dict[str, Any]] = {
    "fixed": {},
    "radius": {"radius": 0.1},
    "grid": {"radii": [0.0, 0.05, 0.1, 0.15]},
    "anytime": {"tolerance": 0.02},
}


@dataclass(frozen=True)
class Triangular(NoiseDistribution):
    """The sum of two uniform values on [-w, w]; l1 radius 2 w (p - 1/2).

    One of the two makes g 1/(2w)-Lipschitz in l1, and the other cannot undo it.
    """

    name: ClassVar[str] = "triangular"
    norm: ClassVar[Any] = "l1"
    half_width: float

    def radius_of_miss(self, miss: Floats) -> Floats:
        return 1.0 - 2.0 * miss

    def miss_of_radius(self, radius: float) -> float:
        return max(0.5 - 0.5 * radius - 2.0**-53, 0.0)

    def upper_tail(self, x: Fraction) -> int:
        return math.floor(max(2 - x, Fraction(0)) ** 2 / 8 * (1 << BITS))

    def from_words(self, first: Any, second: Any) -> tuple[Any, Any]:
        sides = [(words.double() + 0.5) * 2.0**-31 - 1.0 for words in (first, second)]
        near, far = (side.sign() * (2 - 2 * (1 - side.abs()).sqrt()) for side in sides)
        return near, far

    def fill_standard(self, tensor: Any, generator: Any) -> Any:
        other = tensor.clone().uniform_(-1.0, 1.0, generator=generator)
        return tensor.uniform_(-1.0, 1.0, generator=generator).add_(other)


@pytest.fixture(autouse=True)
def fourth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registered as a plug-in's would be, for one test."""
    monkeypatch.setattr(NOISES, "_entries", {**NOISES._entries})
    NOISES.register("triangular")(Triangular)


every_noise = pytest.mark.parametrize("name", [*NOISES.own_names(), "triangular"])


def smoothed(name: str) -> SmoothedClassifier:
    return SmoothedClassifier(PixelAbove(), noise=NOISES.create(name, **one(name)), num_classes=2)


def one(name: str) -> dict[str, float]:
    """The one option of a distribution, by its name."""
    return {NOISES.get(name)(0.0).scale_name: SCALE}


def steps() -> tuple[Tensor, Tensor, Tensor]:
    """Images (40, 1, 2, 2) of one grey level each, their class, and their exact distance.

    F(z) = f(round(255 z) / 255) changes where 255 z is 127.5, as 127 is below the threshold of
    one half and 128 above.
    """
    levels = torch.arange(40) * 5 + 30
    x = levels.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return x, (levels > 127).long(), (levels - 127.5).abs().double() / 255


def hit_rate(noise: NoiseDistribution, level: int, label: int) -> float:
    """P(the noisy pixel is on the side of the label), exactly, from 64-bit thresholds."""
    limits = noise.thresholds()
    place = 127 - level - limits.lowest  # P(k <= 127 - level) = thresholds[place] / 2^64
    values = [0, *limits.values.tolist(), 2**64][1:]
    below = 0 if place < 0 else values[min(place, len(values) - 1)]
    return float(Fraction(2**64 - below if label else below, 2**64))


@every_noise
@pytest.mark.parametrize("mode", MODES)
def test_no_radius_exceeds_the_true_distance_in_any_mode(name: str, mode: str) -> None:
    # Each of 40 certificates may fail with probability 0.001: a sound certifier fails at 4 seeds in
    # 100 at most. The seed is fixed.
    g, (x, y, distance) = smoothed(name), steps()
    result = certify(g, x, n=N, alpha=ALPHA, mode=mode, **MODES[mode])
    certified = result.label != ABSTAIN
    assert certified.sum() > 20
    assert torch.equal(result.label[certified], y[certified])
    assert (result.radius <= distance)[certified].all()
    assert (result.radius[~certified] == 0).all()
    assert result.norm == g.noise.norm
    assert result.provenance["statement"] == {
        "norm": g.noise.norm,
        "kind": "probabilistic",
        "method": f"{name} smoothing",
        "alpha": ALPHA,
    }
    assert noise_of_record(result.provenance["noise"]["distribution"]) == g.noise
    assert ("sigma" in result.provenance) == (name == "gaussian")


@every_noise
def test_radii_are_as_large_as_the_votes_allow(name: str) -> None:
    """Hits are binomial with a rate that the thresholds say exactly."""
    g, (x, y, _) = smoothed(name), steps()
    result = certify(g, x, n=N, alpha=ALPHA, labels=y)
    variation = result.provenance["noise"]["total_variation"]
    for row, level in enumerate(x[:, 0, 0, 0].tolist()):
        rate = hit_rate(g.noise, level, int(y[row]))
        hits = int(result.counts[row, y[row]])
        # Both tails together: a correct sampler fails in 40 images at 8 seeds in 10^5.
        low, high = stats.binom.ppf(1e-6, N, rate), stats.binom.isf(1e-6, N, rate)
        assert low <= hits <= high
        assert result.radius[row] == radius_from_counts(
            hits, N, g.noise, ALPHA, total_variation=variation
        )
        assert result.radius[row] <= max(g.noise.radius(rate), 0.0) or hits > rate * N


@every_noise
def test_the_exact_rate_is_never_worth_more_than_the_distance(name: str) -> None:
    """The known classifier at its true p, integers and rounding included: no statistics left."""
    noise, (x, y, distance) = smoothed(name).noise, steps()
    for row, level in enumerate(x[:, 0, 0, 0].tolist()):
        rate = hit_rate(noise, level, int(y[row]))
        assert noise.radius(max(rate - noise.total_variation(4), 0.0)) <= distance[row]
        if name != "triangular" and 0.5 < rate < 1:  # whose radius is known not to be tight
            assert noise.radius(rate) == pytest.approx(float(distance[row]), abs=1e-9)


@every_noise
def test_modes_agree_on_their_votes(name: str) -> None:
    g, (x, _, _) = smoothed(name), steps()
    whole = certify(g, x, n=N)
    for mode, options in MODES.items():
        found = certify(g, x, n=N, mode=mode, **options)
        for row in range(0, len(x), 9):
            prefix = certify(g, x[row : row + 1], n=int(found.samples[row]))
            assert torch.equal(prefix.counts[0], found.counts[row]), mode
        assert (found.radius <= whole.radius.max() + 0.05).all()


@every_noise
@pytest.mark.parametrize("arithmetic", ["integer", "float"])
def test_predict_names_the_side(name: str, arithmetic: Any) -> None:
    g, (x, y, distance) = smoothed(name), steps()
    found = predict(g, x, n=1000, arithmetic=arithmetic)
    sure = found.label != ABSTAIN
    assert torch.equal(found.label[sure], y[sure])
    assert sure[distance > 0.1].all()
    certified = certify(g, x, n=1000, arithmetic=arithmetic)
    assert certified.norm == g.noise.norm
    assert certified.provenance["noise"]["arithmetic"] == arithmetic


@every_noise
def test_a_record_on_disk_holds_the_noise(name: str, tmp_path: Path) -> None:
    g, (x, y, _) = smoothed(name), steps()
    data = ImageData(x, y, torch.arange(len(x)), 2, "steps", "test")
    settings = CertifySettings(n=500, batch_size=64, precision="float32", compile="never")
    log = certify_dataset(g, data, tmp_path, settings, workers=1, progress=False)
    direct = certify(g, x, n=500, index=data.index)
    assert np.array_equal(log.radius, direct.radius.numpy())
    assert log.provenance["noise"] == direct.provenance["noise"]
    assert log.provenance["statement"] == direct.provenance["statement"]
    assert recorded_noise(log.provenance) == g.noise
    assert ("sigma" in log.provenance) == (name == "gaussian")


@pytest.mark.usefixtures("forked_workers")
def test_worker_processes_know_the_noise(tmp_path: Path) -> None:
    g, (x, y, _) = smoothed("uniform"), steps()
    data = ImageData(x[:6], y[:6], torch.arange(6), 2, "steps", "test")
    settings = CertifySettings(n=200, batch_size=64, precision="float32", compile="never")
    log = certify_dataset(g, data, tmp_path, settings, workers=2, progress=False)
    assert np.array_equal(log.radius, certify(g, x[:6], n=200, index=data.index).radius.numpy())


def test_a_fourth_distribution_is_saved_loaded_and_attacked(tmp_path: Path) -> None:
    base = MODELS.create("mlp", num_classes=3, image_size=4, hidden=(8,)).eval()
    g = SmoothedClassifier(base, noise=Triangular(0.2), num_classes=3)
    g.save(tmp_path / "g.pt")
    again = SmoothedClassifier.load(tmp_path / "g.pt")
    assert again.noise == Triangular(0.2)
    x = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    y = again.base(x).argmax(1)
    for attack in (SmoothAdvPGD(epsilon=0.3, steps=3), PGD(epsilon=0.3, steps=3)):
        x_adv = attack(again, x, y, num_noise=4, generator=torch.Generator().manual_seed(1))
        lengths = (x_adv - x).flatten(1).norm(dim=1)
        assert 0.05 < lengths.min() <= lengths.max() <= 0.3 * (1 + 1e-6)
    with g.frozen_noise(0), again.frozen_noise(0):
        assert torch.equal(g(x), again(x))


def test_the_fourth_distribution_is_drawn_as_it_says() -> None:
    # 3 x 200,000 values at fixed seeds; a correct generator fails at 3 seeds in 10^5.
    noise, ids = Triangular(0.25), torch.arange(200)
    cdf = stats.triang(0.5, -0.5, 1.0).cdf
    key = derive_key(3, "select")
    filled = noise.fill(torch.empty(200_000), torch.Generator().manual_seed(0))
    drawn = draw(noise, key, ids, ids, (1000,)).flatten()
    for values in (filled, drawn):
        assert stats.kstest(values.double().numpy(), cdf).pvalue > 1e-5
    k = GridSampler(noise).sample(key, ids, ids, (1000,)).flatten().numpy()
    edges = np.arange(-129, 129)
    cells = np.diff(cdf((edges + 0.5) / 255), prepend=0.0, append=1.0)
    observed = np.bincount(np.searchsorted(edges, k), minlength=len(edges) + 1)
    kept = cells * len(k) > 5
    assert observed[~kept].sum() < 100
    total = observed[kept].sum()
    expected = cells[kept] / cells[kept].sum() * total
    assert stats.chisquare(observed[kept], expected).pvalue > 1e-5


def test_no_noise_certifies_nothing() -> None:
    x, _, _ = steps()
    for name in NOISES.own_names():
        noise = NOISES.get(name)(0.0)
        g = SmoothedClassifier(PixelAbove(), noise=noise, num_classes=2)
        message = f"noise to draw votes under, got {name} {noise.scale_name}=0"
        with pytest.raises(ValueError, match=message):
            certify(g, x, n=100)
        with pytest.raises(ValueError, match=message):
            predict(g, x, n=100, arithmetic="float")


def test_results_of_gaussian_noise_state_l2() -> None:
    result: Certificates = certify(smoothed("gaussian"), steps()[0][:2], n=50)
    assert result.norm == "l2"
    assert result.provenance["sigma"] == SCALE
