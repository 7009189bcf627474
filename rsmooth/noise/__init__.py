"""Noise: distributions as values, and draws keyed by seed, purpose, image and sample."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
