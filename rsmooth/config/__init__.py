"""From specs to objects: the parts that a configuration names, checked and built.

    create(ATTACKS, {"name": "pgd", "epsilon": "64/255", "steps": 4})

A spec is a registered name, or a mapping of the name and its options. The package imports no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
