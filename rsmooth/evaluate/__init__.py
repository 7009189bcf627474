"""Attacks against what a smoothed classifier answers and against what was certified."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
