"""Reports and leaderboards as one HTML file that needs no network."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
