"""Certifying a data set durably: journal, worker processes, ranks."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
