"""What somebody's file is, what is suspicious about it, and the command that goes on from there."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
