"""Base classifiers, their normalisation, checkpoints, and the folding of batch norm."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
