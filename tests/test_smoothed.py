"""SmoothedClassifier: noise, log G, frozen noise, and its checks."""

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from rsmooth.noise import Gaussian, NoiseDistribution, Uniform
from rsmooth.registry import MODELS, NOISES
from rsmooth.smoothed import SmoothedClassifier

every_noise = pytest.mark.parametrize(
    "noise", [NOISES.get(name)(0.3) for name in NOISES.own_names()], ids=str
)


def linear(classes: int = 3, dtype: torch.dtype = torch.float64) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, classes)).to(dtype)


def images(batch: int = 4) -> torch.Tensor:
    return torch.rand(
        batch, 3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def test_noise_has_shape_and_scale():
    g = SmoothedClassifier(linear(), sigma=0.5, num_classes=3)
    noise = g.sample_noise(images(8), 2000, torch.Generator().manual_seed(0))
    assert noise.shape == (8, 2000, 3, 2, 2)
    # 192,000 draws: the mean has standard error .0011, the deviation .0008; bounds at 6 of them
    # (false alarm 4e-9)
    assert abs(noise.mean().item()) < 0.007
    assert abs(noise.std().item() - 0.5) < 0.005


def test_forward_is_the_log_of_the_mean_softmax():
    g = SmoothedClassifier(linear(), sigma=0.5, num_classes=3, num_noise=7)
    x = images()
    with g.frozen_noise(3):
        out = g(x)
    noise = g.sample_noise(x[:1], 7, torch.Generator().manual_seed(3))[0]  # one for all images
    mean = torch.stack([g.base(x + noise[i]).softmax(1) for i in range(7)]).mean(0)
    torch.testing.assert_close(out, mean.log(), rtol=0, atol=1e-12)
    torch.testing.assert_close(out.exp().sum(1), torch.ones(4, dtype=torch.float64))


@every_noise
def test_frozen_noise_makes_one_function_whatever_the_batch(noise: NoiseDistribution) -> None:
    g = SmoothedClassifier(linear(), noise=noise, num_classes=3, num_noise=5)
    x = images(6)
    order = torch.tensor([4, 0, 5, 2])
    with g.frozen_noise(0):
        whole = g(x)
        close = {"rtol": 0, "atol": 1e-14}  # a matrix product may round by its batch size
        torch.testing.assert_close(g(x[order]), whole[order], **close)
        torch.testing.assert_close(torch.cat([g(x[i : i + 1]) for i in range(6)]), whole, **close)
        torch.testing.assert_close(
            g(x[2:3].expand(9, -1, -1, -1)), whole[2:3].repeat(9, 1), **close
        )
        assert g(x[:0]).shape == (0, 3)


@every_noise
def test_forward_averages_over_the_noise_that_g_holds(noise: NoiseDistribution) -> None:
    g = SmoothedClassifier(linear(), noise=noise, num_classes=3, num_noise=4)
    x = images(2)
    with g.frozen_noise(8):
        out = g(x)
    drawn = noise.fill(torch.empty(4, 3, 2, 2).double(), torch.Generator().manual_seed(8))
    mean = torch.stack([g.base(x + one).softmax(1) for one in drawn]).mean(0)
    torch.testing.assert_close(out, mean.log(), rtol=0, atol=1e-12)
    assert not torch.equal(out, g.base(x).log_softmax(1))


@every_noise
def test_a_saved_classifier_keeps_its_noise(noise: NoiseDistribution, tmp_path: Path) -> None:
    base = MODELS.create("small-cnn", in_channels=1, num_classes=4)
    SmoothedClassifier(base, noise=noise, num_classes=4).save(tmp_path / "g.pt")
    content = torch.load(tmp_path / "g.pt", weights_only=True)
    assert content["noise"] == noise.record()
    assert ("sigma" in content) == isinstance(noise, Gaussian)
    assert SmoothedClassifier.load(tmp_path / "g.pt").noise == noise
    assert SmoothedClassifier(base, noise=noise, num_classes=4).around(base).noise == noise


def test_files_of_earlier_versions_are_gaussian(tmp_path: Path) -> None:
    base = MODELS.create("small-cnn", in_channels=1, num_classes=4)
    SmoothedClassifier(base, 0.3, 4).save(tmp_path / "g.pt")
    content = torch.load(tmp_path / "g.pt", weights_only=True)
    del content["noise"]
    torch.save(content, tmp_path / "earlier.pt")
    assert SmoothedClassifier.load(tmp_path / "earlier.pt").noise == Gaussian(0.3)


def test_sigma_is_asked_of_gaussian_noise_alone() -> None:
    assert SmoothedClassifier(linear(), 0.3, 3).sigma == 0.3
    with pytest.raises(ValueError, match=r"expected Gaussian noise .* got uniform half_width=0\.3"):
        _ = SmoothedClassifier(linear(), noise=Uniform(0.3), num_classes=3).sigma
    for sigma, noise in ((None, None), (0.3, Uniform(0.3))):
        with pytest.raises(ValueError, match="expected either sigma or noise"):
            SmoothedClassifier(linear(), sigma, 3, noise=noise)


def test_noise_is_fresh_outside_and_fixed_inside_frozen_noise():
    g = SmoothedClassifier(linear(), sigma=0.5, num_classes=3)
    x = images()
    assert not torch.equal(g(x), g(x))
    with g.frozen_noise(0):
        first = g(x)
        assert torch.equal(first, g(x))
    with g.frozen_noise(1):
        assert not torch.equal(first, g(x))
    with g.frozen_noise(0, num_noise=2):
        assert not torch.equal(first, g(x))
    assert g.num_noise == 16
    assert not torch.equal(g(x), g(x))


def test_frozen_noise_ends_with_an_error_too():
    g = SmoothedClassifier(linear(), sigma=0.5, num_classes=3)
    with pytest.raises(RuntimeError, match="stop"), g.frozen_noise(0, 3):
        raise RuntimeError("stop")
    assert g.num_noise == 16
    assert not torch.equal(g(images()), g(images()))


def test_sigma_zero_is_the_base_classifier():
    g = SmoothedClassifier(linear(), sigma=0.0, num_classes=3)
    torch.testing.assert_close(g(images()), g.base(images()).log_softmax(1), rtol=0, atol=1e-12)


def test_low_precision_logits_are_reduced_in_float32():
    g = SmoothedClassifier(linear(dtype=torch.bfloat16), sigma=0.1, num_classes=3)
    log_probs = g.log_probs(images().bfloat16().unsqueeze(1))
    assert log_probs.dtype == torch.float32
    assert log_probs.exp().sum().item() == pytest.approx(4, abs=1e-5)


@pytest.mark.parametrize("sigma", [-0.1, math.nan, math.inf])
def test_bad_sigma(sigma):
    with pytest.raises(ValueError, match="expected a finite sigma"):
        SmoothedClassifier(linear(), sigma=sigma, num_classes=3)


def test_wrong_class_count():
    g = SmoothedClassifier(linear(4), sigma=0.1, num_classes=3)
    with pytest.raises(ValueError, match=r"expected logits \(N, 3\)"):
        g(images())
    with pytest.raises(ValueError, match="num_classes >= 2"):
        SmoothedClassifier(linear(), sigma=0.1, num_classes=1)
    with pytest.raises(ValueError, match="num_noise >= 1"):
        SmoothedClassifier(linear(), sigma=0.1, num_classes=3, num_noise=0)


def test_a_base_without_a_known_architecture_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match=r"MODELS\.create"):
        SmoothedClassifier(linear(), sigma=0.1, num_classes=3).save(tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_frozen_noise_refuses_no_samples() -> None:
    g = SmoothedClassifier(torch.nn.Flatten(), 0.5, 4)
    with (
        pytest.raises(ValueError, match="expected num_noise >= 1, got 0"),
        g.frozen_noise(0, num_noise=0),
    ):
        pass


def test_an_incomplete_file_is_named_with_what_it_lacks(tmp_path) -> None:
    torch.save({"format": "rsmooth-model-1", "num_classes": 4}, tmp_path / "g.pt")
    with pytest.raises(ValueError, match="expected architecture, noise, num_noise, state_dict in"):
        SmoothedClassifier.load(tmp_path / "g.pt")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_classes": 2.7}, ValueError, "expected an integer num_classes, got 2.7"),
        ({"num_classes": "10"}, ValueError, "expected an integer num_classes, got '10'"),
        ({"num_noise": 1.5}, ValueError, "expected an integer num_noise, got 1.5"),
        ({"num_noise": True}, ValueError, "expected an integer num_noise, got True"),
        ({"noise": 0.25}, TypeError, "expected the noise as a distribution, got 0.25"),
        ({"noise": "gaussian"}, TypeError, "expected the noise as a distribution, got 'gaussian'"),
        ({"base": None}, TypeError, "expected the base classifier as a torch.nn.Module, got None"),
    ],
)
def test_parts_of_another_kind_are_refused(options, error, message) -> None:
    known = {"base": linear(), "noise": Gaussian(0.25), "num_classes": 3}
    with pytest.raises(error, match=message):
        SmoothedClassifier(**{**known, **options})


@pytest.mark.parametrize("options", [{"seed": 0.5}, {"seed": "0"}, {"seed": 0, "num_noise": 2.5}])
def test_frozen_noise_needs_integers(options) -> None:
    g = SmoothedClassifier(linear(), sigma=0.1, num_classes=3)
    with pytest.raises(ValueError, match="expected an integer"), g.frozen_noise(**options):
        pass
    assert g.num_noise == 16
    assert not torch.equal(g(images()), g(images())), "expected fresh noise still"
