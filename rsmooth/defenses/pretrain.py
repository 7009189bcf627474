"""Fine-tuning: start from a classifier trained on other data, or by another method."""

from __future__ import annotations

from os import PathLike

from rsmooth.models.head import replace_head
from rsmooth.noise.distributions import NoiseDistribution
from rsmooth.smoothed import SmoothedClassifier


def init_from(
    path: str | PathLike[str],
    *,
    sigma: float | None = None,
    noise: NoiseDistribution | None = None,
    num_classes: int,
    num_noise: int = 16,
    keep_head: bool = False,
) -> SmoothedClassifier:
    """A saved classifier to be trained further, by default with a fresh last layer.

        g = init_from("runs/imagenet32/model.pt", sigma=0.25, num_classes=10)
        Trainer(**preset("finetune")).fit(g, data.train)
        g = init_from("runs/first/model.pt", sigma=0.25, num_classes=10, keep_head=True)

    path: what ``SmoothedClassifier.save`` wrote.
    sigma: shorthand for noise=Gaussian(sigma).
    noise: the distribution of the new classifier's noise, in [0, 1] pixel units.
    num_classes: outputs of the last layer.
    num_noise: noise copies that ``forward`` averages over.
    keep_head: whether the last layer is kept too, for a further phase on the same classes.

    All other weights and the normalisation are kept. So Salman et al. 2019 (arXiv:1906.04584),
    section 4.2, fine-tune from ImageNet at 32x32, with the same sigma and epsilon. ValueError for a
    file of another kind, unless just one of sigma and noise is given, and for a kept head of
    another number of classes.
    """
    pretrained = SmoothedClassifier.load(path)
    if keep_head and pretrained.num_classes != num_classes:
        raise ValueError(
            f"expected a model of {num_classes} classes where the head is kept, got {path} with "
            f"{pretrained.num_classes}; leave keep_head out for a fresh last layer"
        )
    return SmoothedClassifier(
        pretrained.base if keep_head else replace_head(pretrained.base, num_classes),
        sigma,
        num_classes,
        noise=noise,
        num_noise=num_noise,
    )
