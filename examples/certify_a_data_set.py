"""Certify a data set into a journal that survives interruptions, and read it without a model."""

import tempfile
from pathlib import Path

from rsmooth import MODELS, SmoothedClassifier, Trainer, certify_dataset, load_dataset
from rsmooth.certify import CertifySettings
from rsmooth.records import average_certified_radius, certified_accuracy, read_log

data = load_dataset("digits")
base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
Trainer(attack=None, epochs=5, warmup_epochs=0).fit(g, data.train, progress=False)

journal = Path(tempfile.mkdtemp()) / "certificates.jsonl"
settings = CertifySettings(n0=100, n=1000, alpha=1e-3, seed=0)
certify_dataset(g, data.test.subset(range(0, 500, 10)), journal, settings, progress=False)

log = read_log(journal)  # also any published log
print(certified_accuracy(log, [0.0, 0.25, 0.5]), average_certified_radius(log))
