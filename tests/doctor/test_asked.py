"""What somebody asks about a file."""

from __future__ import annotations

from rsmooth.doctor.asked import Asked, digits

from .helpers import test_images


def test_images_become_a_sample() -> None:
    assert Asked().sample() is None
    one = Asked(images=test_images(), options="--dataset digits").sample()
    assert one is not None
    assert (one.images, one.options) == (500, "--dataset digits")
    assert digits().options == "--dataset digits"
    assert digits().x.equal(one.x)
