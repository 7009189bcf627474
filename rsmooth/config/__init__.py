"""From specs to objects: what a configuration or the command line names, built and checked.

A spec is a registered name, or a mapping of the name and its options. Imports no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
