"""Accelerate: SmoothAdv in a loop of your own, on whatever `accelerate launch` finds.

pip install accelerate. The loss goes through the prepared base. The attack asks the plain one: it
needs gradients in the images alone.
"""

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from rsmooth import MODELS, SmoothAdvPGD, SmoothedClassifier, certify, load_dataset
from rsmooth.objectives import naive


def images(split, count):
    x, y = split.batch(range(count))
    return x.float() / 255, y


data, accelerator = load_dataset("digits"), Accelerator()
base = MODELS.create("small-cnn", num_classes=10, in_channels=1)
optimizer = torch.optim.SGD(base.parameters(), lr=0.05, momentum=0.9)
loader = DataLoader(TensorDataset(*images(data.train, 512)), batch_size=64, shuffle=True)
base, optimizer, loader = accelerator.prepare(base, optimizer, loader)
g = SmoothedClassifier(base, 0.25, 10)
plain = SmoothedClassifier(accelerator.unwrap_model(base), 0.25, 10)
attack = SmoothAdvPGD(epsilon=0.5, steps=2)

for epoch in range(3):
    g.train()
    for x, y in loader:
        noise = g.sample_noise(x, 2)  # (B, m, C, H, W), the same for attack and loss
        x_adv = attack(plain, x, y, noise=noise)
        loss = naive(g.log_probs(x_adv.unsqueeze(1) + noise), y).mean()
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
    accelerator.print(f"epoch {epoch}: loss {loss.item():.3f}")

x, y = images(data.test, 20)
x, y = x.to(accelerator.device), y.to(accelerator.device)
accelerator.print(certify(plain.eval(), x, n0=100, n=1000).accuracy(y, radii=[0.0, 0.25]))
