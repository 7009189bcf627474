"""Train with interval bounds, and prove answers in l-infinity without any noise."""

from rsmooth import MODELS, TRAINERS, SmoothedClassifier, load_dataset
from rsmooth.bounds import margin_bounds
from rsmooth.data import to_unit

data = load_dataset("digits")
net = MODELS.create("mlp", num_classes=10, in_channels=1, image_size=8)
g = SmoothedClassifier(net, sigma=0.0, num_classes=10)
trainer = TRAINERS.create("ibp", epsilon=0.05, epochs=10, batch_size=128, warmup_epochs=5)
trainer.fit(g, data.train, progress=False)

x, y = to_unit(data.test.images[:100]), data.test.labels[:100]
for method in ("ibp", "crown-ibp", "fast-lin"):
    margins = margin_bounds(net.eval(), x, y, epsilon=0.05, method=method).detach()
    margins.scatter_(1, y.unsqueeze(1), float("inf"))  # the label itself
    print(f"{method}: {int((margins.min(dim=1).values > 0).sum())} of {len(x)} images")
