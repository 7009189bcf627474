"""Between two bounds: certified accuracy, and accuracy under attack, at one distance."""

from rsmooth import (
    MODELS,
    SmoothAdvPGD,
    SmoothedClassifier,
    Trainer,
    certify,
    load_dataset,
    predict,
)
from rsmooth.data import to_unit

epsilon = 0.25
data = load_dataset("digits")
base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
g = SmoothedClassifier(base, sigma=0.25, num_classes=10)
Trainer(attack=None, epochs=5, warmup_epochs=0).fit(g, data.train, progress=False)

x, y = to_unit(data.test.images[:40]), data.test.labels[:40]
certified = certify(g, x, n=1000, seed=0).accuracy(y, radii=[epsilon])[0]
x_adv = SmoothAdvPGD(epsilon=epsilon, steps=20)(g, x, y, num_noise=16)
x_adv = (255 * x_adv).round().clamp(0, 255) / 255  # g is a function of 8-bit images
attacked = (predict(g, x_adv, n=1000, seed=1).label == y).float().mean()
print(f"{float(certified):.2f} <= true accuracy at {epsilon} <= {float(attacked):.2f}")
