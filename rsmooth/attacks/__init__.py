"""Attacks on base and smoothed classifiers: optimiser, target and objective are values."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
