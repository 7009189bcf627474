"""Drawing votes: noisy images, the network as executed, and who is served when."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
