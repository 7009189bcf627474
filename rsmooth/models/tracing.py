"""The steps of a network as a call of it makes them, by torch.fx."""

from __future__ import annotations

from typing import Any

from torch import fx, nn


class _Called(nn.Module):
    """A network that is called by another module, as ``net(x)`` does."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Any) -> Any:
        return self.net(x)


def trace_call(tracer: fx.Tracer, net: nn.Module) -> fx.Graph:
    """The steps of ``net(x)``, with names of layers as ``net.get_submodule`` takes them.

        trace_call(fx.Tracer(), net).nodes

    Of the module that it is given, fx reads the forward of its class alone. It passes over hooks,
    and over a forward that was set on the object. So it is given a module that calls the network.
    Whatever a forward that fx cannot follow raises.
    """
    graph = tracer.trace(_Called(net))
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr") and str(node.target).split(".")[0] == "net":
            node.target = str(node.target).removeprefix("net").removeprefix(".")
    return graph
