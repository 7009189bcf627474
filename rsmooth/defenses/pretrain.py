"""Fine-tuning: start from a classifier trained on other data."""

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
) -> SmoothedClassifier:
    """A saved classifier with a fresh last layer, to be fine-tuned.

        g = init_from("runs/imagenet32/model.pt", sigma=0.25, num_classes=10)
        Trainer(**preset("finetune")).fit(g, data.train)

    path: what ``SmoothedClassifier.save`` wrote.
    sigma: shorthand for noise=Gaussian(sigma).
    noise: the distribution of the new classifier's noise, in [0, 1] pixel units.
    num_classes: outputs of the new layer.
    num_noise: noise copies that ``forward`` averages over.

    All other weights and the normalisation are kept. So Salman et al. 2019 (arXiv:1906.04584),
    section 4.2, fine-tune from ImageNet at 32x32, with the same sigma and epsilon. ValueError for a
    file of another kind, and unless just one of sigma and noise is given.
    """
    pretrained = SmoothedClassifier.load(path)
    return SmoothedClassifier(
        replace_head(pretrained.base, num_classes),
        sigma,
        num_classes,
        noise=noise,
        num_noise=num_noise,
    )
