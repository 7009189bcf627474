"""Weights & Biases: a point per epoch, and the certificates at the end.

pip install wandb; without WANDB_MODE=offline you need an account.
"""

import wandb

from rsmooth import MODELS, SmoothedClassifier, Trainer, certify_dataset, load_dataset
from rsmooth.certify import CertifySettings

data = load_dataset("digits")
g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=10, in_channels=1), 0.25, 10)

with wandb.init(project="rsmooth", config={"sigma": g.sigma}) as run:
    Trainer(epochs=3).fit(g, data.train, validation=data.validation, on_epoch=run.log)
    test = data.test.subset(range(50))
    settings = CertifySettings(n0=100, n=1000)
    certify_dataset(g, test, f"{run.dir}/certified", settings, on_certified=run.summary.update)
