"""What the adapters share, on a library of our own that does all that real ones do."""

from __future__ import annotations

import dataclasses
import random
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from rsmooth import testing
from rsmooth.attacks import PGD, SmoothAdvPGD
from rsmooth.attacks.foreign.adapter import ForeignAttack, shortened
from rsmooth.attacks.foreign.libraries import Kind, Library, kind_of, minimal
from rsmooth.smoothed import SmoothedClassifier
from tests.attacks.foreign import fake_library
from tests.attacks.toys import Flat, base_labels, draw, images, length, linear_net, smooth_net

NAMES = "FGM OneByOne Backwards Beyond Rounded Nothing Draws Leaky Broken"
KINDS = {**dict.fromkeys(NAMES.split(), Kind("l2")), "Smallest": minimal("l2")}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fake(ForeignAttack):
    """An attack of the library beside this file."""

    library: ClassVar[Library] = Library(fake_library.__name__, "fake", "fake-library")
    reserved: ClassVar[tuple[str, ...]] = ("model", "eps")

    attack: str = "FGM"

    def _kind(self):
        return kind_of(self.attack, KINDS, "fake-library", vars(self.library.load()))

    def _entry(self):
        self._kind()
        return getattr(fake_library, self.attack)

    def _search(self, model, x, y, call):
        self._check_unit_box(call)
        if self.targeted:
            raise self._refuse_target()
        return self._entry()(model, **self._arguments(call))(x, y)


def smoothed(attack="FGM", epsilon=0.4, **options):
    return Fake(attack=attack, epsilon=epsilon, target="smoothed", **options)


def setting(batch=4):
    g, x = smooth_net(), images(batch)
    return g, x, base_labels(g, x)


OURS = SmoothAdvPGD(epsilon=0.4, steps=1, step_size=0.4)
CLOSE = {"atol": 1e-5, "rtol": 0}


@pytest.mark.parametrize("name", ["FGM", "OneByOne", "Backwards"])
def test_a_library_sees_log_g_whatever_images_it_asks_about(name):
    """One step along the gradient of log G is known: it is that of our own attack."""
    g, x, y = setting()
    noise = draw(g, x, 3)  # of each image its own
    assert_close(smoothed(name)(g, x, y, noise=noise), OURS(g, x, y, noise=noise), **CLOSE)
    with g.frozen_noise(5, 3):
        assert_close(smoothed(name)(g, x, y), OURS(g, x, y), **CLOSE)
    plain, own = Fake(attack=name, epsilon=0.4), PGD(epsilon=0.4, steps=1, step_size=0.4)
    assert_close(plain(g, x, y), own(g, x, y), **CLOSE)


def test_the_noise_that_an_attack_draws_is_shared_by_the_images():
    g, x, y = setting()
    found = smoothed()(g, x, y, num_noise=3, generator=torch.Generator().manual_seed(7))
    one = g.sample_noise(x[:1], 3, torch.Generator().manual_seed(7))
    assert_close(found, OURS(g, x, y, noise=one.expand(4, -1, -1, -1, -1)), **CLOSE)
    with pytest.raises(ValueError, match="expected num_noise >= 1"):
        smoothed()(g, x, y, num_noise=0)


def test_an_attack_passes_the_checks_for_plug_ins():
    testing.check_attack(smoothed())
    testing.check_attack(smoothed("Smallest"))


def test_an_attack_that_leaves_the_ball_is_refused_and_rounding_is_not():
    g, x, y = setting()
    with pytest.raises(
        ValueError, match=r"expected perturbations of l2 norm up to .* got one of 0"
    ):
        smoothed("Beyond")(g, x, y)
    assert length(smoothed("Rounded")(g, x, y) - x).max() <= 0.4 * (1 + 1e-12)
    assert length(smoothed("Rounded")(g, x, y) - x).max() > 0.4 * (1 - 1e-6)


def test_what_knows_no_epsilon_is_shortened_and_leaves_wrong_images_alone():
    g, x, y = setting()
    y[0] = (y[0] + 1) % 5
    found = Fake(attack="Smallest", epsilon=0.4)(g, x, y)
    assert torch.equal(found[0], x[0])
    assert_close(length(found[1:] - x[1:]), torch.full((3,), 0.4, dtype=torch.float64))
    whole = Fake(attack="Smallest", epsilon=2.0)(g, x, y)
    assert length(whole[1:] - x[1:]).max() < 1.0 + 1e-6, "1 is what it found"


@pytest.mark.parametrize(("norm", "order"), [("l1", 1), ("l2", 2), ("linf", torch.inf)])
def test_perturbations_are_shortened_in_their_norm(norm, order):
    delta = images(3, low=-1, high=1)
    delta[0] *= 1e-3
    before = delta.flatten(1).norm(dim=1, p=order)
    after = shortened(delta, before, 0.5, norm)
    assert_close(after.flatten(1).norm(dim=1, p=order), before.clamp(max=0.5))
    assert torch.equal(after[0], delta[0])


def test_where_the_library_answers_nan_it_has_found_nothing():
    g, x, y = setting()
    found = smoothed("Nothing")(g, x, y)
    assert torch.equal(found[0], x[0])
    assert (found[1:] != x[1:]).flatten(1).any(dim=1).all()


def test_draws_follow_the_generator_and_leave_no_trace():
    g, x, y = setting()
    torch.manual_seed(3)

    def found(seed):
        return smoothed("Draws")(g, x, y, generator=torch.Generator().manual_seed(seed))

    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    first = found(1)
    assert torch.equal(first, found(1))
    assert not torch.equal(first, found(2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert random.getstate() == before[2]
    # Without a generator they follow torch's own state.
    torch.manual_seed(3)
    own = smoothed("Draws")(g, x, y)
    torch.manual_seed(3)
    assert torch.equal(own, smoothed("Draws")(g, x, y))


def test_what_a_library_does_to_the_process_is_put_back():
    g, x, y = setting()
    g.train()
    g.base[1].bias.requires_grad_(False)
    given = x.clone(), y.clone()
    before = _state(g)
    smoothed("Leaky")(g, x, y)
    assert _state(g) == before
    assert torch.equal(x, given[0])
    assert torch.equal(y, given[1])


def _state(g):
    return (
        [part.training for part in g.modules()],
        [(own.requires_grad, own.grad) for own in g.parameters()],
        np.geterr(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.backends.cudnn.benchmark,
        sys.gettrace(),
    )


def test_errors_of_a_library_come_in_our_words_with_theirs_behind():
    g, x, y = setting()
    said = r"expected Broken of fake-library to run on images \(4, .* of 5 classes .* IndexError"
    with pytest.raises(ValueError, match=said) as error:
        smoothed("Broken")(g, x, y)
    assert isinstance(error.value.__cause__, IndexError)


def test_another_box_and_a_target_are_refused_where_the_library_knows_none():
    g, x, y = setting()
    for bounds in (None, (0.0, 2.0)):
        with pytest.raises(ValueError, match=r"expected images within \[0, 1\], the only box"):
            smoothed()(g, x, y, bounds=bounds)
    with pytest.raises(ValueError, match="expected an attack that can aim at a class, got FGM of"):
        smoothed(targeted=True)(g, x, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attack": "fgn"}, "expected an attack of fake-library, got 'fgn'; did you mean FGM"),
        ({"attack": 5}, "expected an attack of fake-library, got 5"),
        ({"attack": "Spatial"}, "that keeps an l1, l2 or linf norm, got Spatial, which does not"),
        (
            {"options": {"prat": 1}},
            "an option of FGM of fake-library, got 'prat'; did you mean part",
        ),
        ({"options": {"zzz": 1}}, "got 'zzz'; it has norm, part, seed"),
        ({"options": {"eps": 1}}, "expected options of FGM of fake-library without 'eps'"),
        ({"epsilon": -1.0}, "expected a finite epsilon >= 0"),
    ],
)
def test_unknown_attacks_and_options_are_refused_when_the_attack_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        Fake(**{"epsilon": 0.4, **options})


def test_options_are_passed_on_and_recorded_as_used():
    g, x, y = setting()
    half = smoothed(options={"part": np.float64(0.5)})
    assert_close(length(half(g, x, y) - x), torch.full((4,), 0.2, dtype=torch.float64))
    used = half.used()
    assert used == {
        "library": "fake-library",
        "norm": "l2",
        "options": {"part": 0.5, "norm": "L2", "seed": "drawn for each call"},
    }
    assert type(used["options"]["part"]) is float


def test_epsilon_0_asks_nobody():
    g, x, y = setting()
    assert torch.equal(smoothed("Broken", epsilon=0.0)(g, x, y), x)


def test_other_number_formats_are_searched_in_float32():
    g, x, y = setting()
    seen = []
    g.base.register_forward_pre_hook(lambda module, given: seen.append(given[0].dtype))
    for dtype in (torch.float64, torch.float32, torch.float16):
        assert smoothed()(g, x.to(dtype), y).dtype == dtype
    assert set(seen) == {torch.float64}, "the format of the network's own weights"


def test_a_vanished_gradient_is_warned_of_and_nan_is_refused():
    g, x, y = SmoothedClassifier(Flat(), 0.0, 3), images(4), torch.zeros(4, dtype=torch.int64)
    with pytest.warns(UserWarning, match="the gradient was zero at every step for 4 of 4 images"):
        Fake(attack="OneByOne", epsilon=0.4)(g, x, y)
    g = linear_net()
    g.base[1].weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match="expected finite logits and gradients"):
        smoothed("OneByOne")(g, x, y)
