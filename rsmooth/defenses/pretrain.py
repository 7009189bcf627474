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
    """The classifier saved at ``path`` (by ``SmoothedClassifier.save``) with a fresh head of
    num_classes outputs.

        g = init_from("runs/imagenet32/model.pt", sigma=0.25, num_classes=10)

    All other weights and the normalisation are kept. sigma is shorthand for noise=Gaussian(sigma);
    ValueError unless just one of them is given. Salman et al. 2019 (arXiv:1906.04584), section 4.2,
    train on ImageNet at 32x32 with the same sigma and epsilon, and fine-tune like this;
    ``preset("finetune")`` has the options.
    """
    pretrained = SmoothedClassifier.load(path)
    return SmoothedClassifier(
        replace_head(pretrained.base, num_classes),
        sigma,
        num_classes,
        noise=noise,
        num_noise=num_noise,
    )
