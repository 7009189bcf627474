"""Data sets: uint8 at rest, [0, 1] = uint8 / 255 in use, never normalised."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
