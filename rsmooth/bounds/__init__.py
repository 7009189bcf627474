"""Deterministic bounds of networks: what logits can be, for every image of an l_inf box."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
