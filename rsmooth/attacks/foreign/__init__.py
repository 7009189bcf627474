"""Attacks of other libraries as ours, and ours as theirs."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
