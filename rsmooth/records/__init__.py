"""What a certification leaves, without a model: logs, journals, tables, and what they say."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
