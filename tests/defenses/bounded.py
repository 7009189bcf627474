"""Mini-batches for the methods that learn bounds, without a run around them."""

from __future__ import annotations

from torch import Tensor, nn

from rsmooth.defenses import BoundTraining
from rsmooth.smoothed import SmoothedClassifier
from rsmooth.training import Batch
from rsmooth.training.batch import When
from rsmooth.training.draws import Draws
from rsmooth.training.views import Views


def batch_of(net: nn.Module, x: Tensor, y: Tensor, progress: float = 0.0) -> Batch:
    """Images and labels as a method is given them at a progress in epochs; net keeps its mode."""
    g = SmoothedClassifier(net, sigma=0.0, num_classes=10)
    g.train(net.training)
    views = Views(g, net, net, "float32", fold=False)
    where = When(int(progress), progress)
    noise = x.new_zeros(len(x), 1, *x.shape[1:])
    return Batch(x, y, noise, y, {}, None, views, Draws(0), lambda _: where)


def parameter_gradients(trainer: BoundTraining, batch: Batch) -> dict[str, Tensor]:
    """The gradients of the mean loss of a batch, by the parameters' names."""
    batch.module.zero_grad()
    trainer.losses(batch).mean().backward()
    named = batch.module.named_parameters()
    return {name: own.grad for name, own in named if own.grad is not None}
