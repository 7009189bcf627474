"""What a certification leaves: logs, journals, tables and their statements, without a model."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
