"""Training methods, one file each: Gaussian augmentation, SmoothAdv, and their rivals."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
