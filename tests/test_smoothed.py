"""SmoothedClassifier: noise, log G, frozen noise, and its checks."""

import copy
import math
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from rsmooth import PGD, SmoothAdvPGD, Trainer, certify, predict
from rsmooth.certify import CertifySettings, certify_dataset
from rsmooth.data import as_image_data, load_dataset
from rsmooth.evaluate import attack_data, audit
from rsmooth.noise import Gaussian, NoiseDistribution, Uniform
from rsmooth.records import CertificationLog
from rsmooth.registry import NOISES
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


def test_points_are_converted_to_the_type_of_the_floating_point_parameters():
    base = linear(dtype=torch.float32)
    base.register_parameter("counter", nn.Parameter(torch.tensor([1]), requires_grad=False))
    base.to(torch.float32)
    assert next(base.parameters()).dtype == torch.int64
    g = SmoothedClassifier(base, sigma=0.5, num_classes=3)
    points = images().unsqueeze(1)
    assert torch.equal(g.log_probs(points), g.log_probs(points.float()))


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


@pytest.mark.parametrize("nested", [False, True])
def test_frozen_noise_of_a_copy_ends_with_the_context(nested):
    """Some libraries attack a copy: it is the same function, and no longer than that."""
    g, x = SmoothedClassifier(linear(), sigma=0.5, num_classes=3), images()
    with g.frozen_noise(0), g.frozen_noise(1):
        kept, twin = pickle.dumps(g), copy.deepcopy(g)
        assert torch.equal(twin(x), g(x))
        if nested:
            with twin.frozen_noise(2):
                assert not torch.equal(twin(x), g(x))
            assert torch.equal(twin(x), g(x))
    for other in (twin, pickle.loads(kept)):
        assert not torch.equal(other(x), other(x))


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
    with pytest.raises(ValueError, match=r"expected logits \(64, 3\) .* got \(64, 4\)"):
        g(images())
    with pytest.raises(ValueError, match=r"num_classes >= 2, got .*; e.g. num_classes=10"):
        SmoothedClassifier(linear(), sigma=0.1, num_classes=1)
    with pytest.raises(ValueError, match="num_noise >= 1"):
        SmoothedClassifier(linear(), sigma=0.1, num_classes=3, num_noise=0)


class Answering(nn.Module):
    """A linear base whose logits are handed over in another form."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = linear(dtype=torch.float32), form

    def forward(self, z):
        return self.form(self.net(z))


MASK = torch.tensor([0.0, -torch.inf, 0.0])
FORMS = [
    (lambda z: (z, None), TypeError, r"got tuple; wrap it .* answer\[0\]"),
    (lambda z: [z, z], TypeError, r"got list; wrap it .* answer\[0\]"),
    (lambda z: {"logits": z}, TypeError, r"got dict; .* answer\['logits'\]"),
    (lambda z: {"out": z}, TypeError, r"got dict; .* answer\['out'\]"),
    (lambda z: {}, TypeError, "got dict"),
    (lambda z: SimpleNamespace(logits=z), TypeError, r"returns answer\.logits"),
    (lambda z: z.detach().numpy(), TypeError, r"got ndarray; .* torch\.as_tensor\(answer\)"),
    (lambda z: None, TypeError, "got NoneType; let its forward return"),
    (lambda z: "text", TypeError, "got str"),
    (lambda z: z > 0, TypeError, r"as real numbers .*, got torch\.bool"),
    (lambda z: z.to(torch.complex64), TypeError, r"as real numbers .*, got torch\.complex64"),
    (lambda z: z[:, 0], ValueError, r"got \(\d+,\); check num_classes"),
    (lambda z: z[:1], ValueError, r"got \(1, 3\); check num_classes"),
    (lambda z: z[:, :, None], ValueError, r"got \(\d+, 3, 1\)"),
]


@pytest.mark.parametrize(("form", "kind", "said"), FORMS)
@pytest.mark.parametrize("use", ["forward", "attack", "certify", "predict"])
def test_what_is_no_tensor_of_logits_is_named(form, kind, said, use):
    g = SmoothedClassifier(Answering(form), sigma=0.25, num_classes=3).eval()
    x = torch.full((4, 3, 2, 2), 100 / 255)
    calls = {
        "forward": lambda: g(x),
        "attack": lambda: SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, torch.zeros(4).long()),
        "certify": lambda: certify(g, x, n=100),
        "predict": lambda: predict(g, x, n=100),
    }
    with pytest.raises(kind, match=f"expected .*logits .*{said}"):
        calls[use]()


def test_integer_logits_are_logits():
    g = SmoothedClassifier(Answering(lambda z: (100 * z).long()), sigma=0.25, num_classes=3).eval()
    x = torch.full((2, 3, 2, 2), 100 / 255)
    assert g(x).dtype == torch.float32
    assert certify(g, x, n=100).counts.sum() == 200


def test_a_masked_class_gets_no_vote_and_spoils_none():
    """-infinity in a class is the same classifier as one without the class."""
    x = torch.full((2, 3, 2, 2), 100 / 255)
    y = torch.tensor([0, 2])
    masked = SmoothedClassifier(Answering(lambda z: z + MASK), sigma=0.25, num_classes=3).eval()
    without = Answering(lambda z: z[:, [0, 2]])
    fewer = SmoothedClassifier(without, sigma=0.25, num_classes=2).eval()
    counts = certify(masked, x, n=400, seed=1).counts
    assert torch.equal(counts[:, [0, 2]], certify(fewer, x, n=400, seed=1).counts)
    assert counts[:, 1].tolist() == [0, 0]
    assert certify(masked, x, n=400, seed=1).invalid.tolist() == [0, 0]
    attack = SmoothAdvPGD(epsilon=0.5, steps=3)
    noise = masked.sample_noise(x, 4, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        attack(masked, x, y, noise=noise), attack(fewer, x, y // 2, noise=noise)
    )


@pytest.mark.parametrize("form", [lambda z: z + torch.inf, lambda z: z - torch.inf])
def test_without_a_largest_finite_logit_there_is_no_vote(form):
    g = SmoothedClassifier(Answering(form), sigma=0.25, num_classes=3).eval()
    with pytest.raises(ValueError, match="largest finite logit"):
        certify(g, torch.zeros(1, 3, 2, 2), n=100)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_images_of_another_precision_are_those_of_the_parameters(dtype):
    g = SmoothedClassifier(linear(dtype=torch.float32), sigma=0.25, num_classes=3).eval()
    x = torch.tensor([0.25, 0.5]).view(2, 1, 1, 1).expand(2, 3, 2, 2)  # exact in all of them
    points = x.unsqueeze(1).to(dtype)
    assert torch.equal(g.log_probs(points), g.log_probs(x.unsqueeze(1)))
    y = g.log_probs(points).squeeze(1).argmax(1)
    for attack in (SmoothAdvPGD(epsilon=0.5, steps=3), PGD(epsilon=0.5, steps=3)):
        noise = torch.zeros(2, 1, 3, 2, 2)
        found = attack(g, x.to(dtype), y, noise=noise.to(dtype))
        assert found.dtype == dtype
        torch.testing.assert_close(found, attack(g, x, y, noise=noise).to(dtype), rtol=0, atol=0.01)


def test_images_of_integers_are_told_what_they_need():
    g = SmoothedClassifier(linear(), sigma=0.25, num_classes=3)
    with pytest.raises(ValueError, match=r"got torch.uint8; divide uint8 images by 255"):
        g(torch.zeros(1, 3, 2, 2, dtype=torch.uint8))
    with pytest.raises(TypeError, match=r"got numpy.ndarray; convert with torch.as_tensor"):
        g(np.zeros((1, 3, 2, 2)))


@pytest.mark.parametrize("seed", [0, np.random.default_rng(0)])
def test_a_generator_is_one_of_torch(seed):
    g = SmoothedClassifier(linear(), sigma=0.25, num_classes=3).eval()
    x, y = images(), torch.zeros(4).long()
    for call in (
        lambda: g.sample_noise(x, 2, seed),
        lambda: SmoothAdvPGD(epsilon=0.5, steps=1)(g, x, y, generator=seed),
        lambda: PGD(epsilon=0.5, steps=1)(g, x, y, generator=seed),
    ):
        with pytest.raises(TypeError, match=r"expected the generator as a torch\.Generator .*man"):
            call()


def test_what_takes_g_names_what_came_in_its_place(tmp_path):
    x, y = torch.zeros(2, 3, 2, 2), torch.zeros(2).long()
    data = as_image_data((x, y), num_classes=3)
    log = CertificationLog.deterministic([0], [0], [1.0], norm="l2", method="mine")
    for other in (linear(), "runs/a"):
        for call in (
            lambda g: certify(g, x, n=100),
            lambda g: predict(g, x, n=100),
            lambda g: certify_dataset(g, data, tmp_path / "a", CertifySettings(n=100)),
            lambda g: attack_data(g, data, None),
            lambda g: audit(g, data, log),
            lambda g: PGD(epsilon=0.5, steps=1)(g, x, y),
            lambda g: Trainer(epochs=1).fit(g, data),
        ):
            with pytest.raises(TypeError, match=r"expected a SmoothedClassifier, got .*; wrap a"):
                call(other)


def test_what_takes_images_with_labels_names_the_conversion(tmp_path):
    g = SmoothedClassifier(linear(dtype=torch.float32), sigma=0.25, num_classes=3).eval()
    for call in (
        lambda: certify_dataset(g, 7, tmp_path / "a", CertifySettings(n=100)),
        lambda: attack_data(g, 7, None),
    ):
        with pytest.raises(TypeError, match=r"got int; convert .*as_image_data\(data"):
            call()
    with pytest.raises(ValueError, match="got str"):
        attack_data(g, "digits", None)
    splits = load_dataset("digits")
    for call in (
        lambda: certify(g, splits, n=100),
        lambda: certify_dataset(g, splits, tmp_path / "a", CertifySettings(n=100)),
    ):
        with pytest.raises(TypeError, match=r"one of its splits, such as data\.test"):
            call()
    pairs = TensorDataset(torch.zeros(2, 3, 2, 2), torch.zeros(2).long())
    wanted = attack_data(g, as_image_data(pairs, 3), None, n=100)
    assert attack_data(g, pairs, None, n=100) == wanted


def test_one_sample_is_enough() -> None:
    g = SmoothedClassifier(nn.Flatten(), 0.25, 4, num_noise=1)
    x = torch.rand(2, 1, 2, 2)
    with g.frozen_noise(seed=0, num_noise=1):
        noise = g.frozen_sample(x)
        assert noise is not None
        assert noise.shape == (2, 1, 1, 2, 2)
        torch.testing.assert_close(g(x), (x + noise[:, 0]).flatten(1).log_softmax(dim=1))


def test_frozen_noise_is_of_the_shape_of_the_images() -> None:
    g = SmoothedClassifier(nn.Flatten(), 0.25, 4)
    with g.frozen_noise(seed=0, num_noise=2):
        for channels in (1, 3):
            noise = g.frozen_sample(torch.rand(2, channels, 4, 4))
            assert noise is not None
            assert noise.shape == (2, 2, channels, 4, 4)


def test_frozen_noise_refuses_no_samples() -> None:
    g = SmoothedClassifier(torch.nn.Flatten(), 0.5, 4)
    with (
        pytest.raises(ValueError, match="expected num_noise >= 1, got 0"),
        g.frozen_noise(0, num_noise=0),
    ):
        pass


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
