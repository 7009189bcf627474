"""Lightning: SmoothAdv in a training step of your own.

pip install lightning. Normalisation is a layer of the base, so that images stay in [0, 1].
"""

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from rsmooth import MODELS, SmoothAdvPGD, SmoothedClassifier, certify, load_dataset
from rsmooth.objectives import naive


class SmoothAdv(lightning.LightningModule):
    def __init__(self, g: SmoothedClassifier) -> None:
        super().__init__()
        self.g, self.attack = g, SmoothAdvPGD(epsilon=0.5, steps=2)

    def training_step(self, batch, index):
        x, y = batch
        noise = self.g.sample_noise(x, 2)  # (B, m, C, H, W), the same for attack and loss
        x_adv = self.attack(self.g, x, y, noise=noise)
        loss = naive(self.g.log_probs(x_adv.unsqueeze(1) + noise), y).mean()
        self.log("loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.g.parameters(), lr=0.05, momentum=0.9)


def images(split, count):
    x, y = split.batch(range(count))
    return x.float() / 255, y


data = load_dataset("digits")
g = SmoothedClassifier(MODELS.create("small-cnn", num_classes=10, in_channels=1), 0.25, 10)
loader = DataLoader(TensorDataset(*images(data.train, 512)), batch_size=64, shuffle=True)
trainer = lightning.Trainer(
    max_epochs=3, accelerator="auto", logger=False, enable_checkpointing=False
)
trainer.fit(SmoothAdv(g), loader)

x, y = images(data.test, 20)
print(certify(g.eval(), x, n0=100, n=1000).accuracy(y, radii=[0.0, 0.25]))
