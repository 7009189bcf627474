"""Errors, files, locks, progress and checks: what every part uses and no user needs to know."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
