"""The machinery of a training run: recipe, loop, steps, data, checkpoints, devices."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
