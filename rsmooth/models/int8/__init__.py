"""Networks of 8-bit integers, made of trained ones: classifiers of their own."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
