"""Steps of a traced network that only read a shape, as ``x.view(x.size(0), -1)`` does."""

from __future__ import annotations

import operator

from torch import fx


def is_size(item: fx.Node) -> bool:
    """Whether a step only reads a shape: ``x.size()``, ``x.shape``, or an entry of one."""
    if item.target is getattr:
        return bool(item.args[1] == "shape")
    source = item.args[0] if item.target is operator.getitem else None
    if item.op == "call_method" and item.target == "size":  # a layer may have that name, too
        return True
    return isinstance(source, fx.Node) and is_size(source)


def is_batch(value: object) -> bool:
    """Whether a value is the number of images: ``x.size(0)`` or ``x.shape[0]``."""
    return isinstance(value, fx.Node) and is_size(value) and value.args[1:] == (0,)
