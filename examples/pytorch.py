"""A small net on Fashion-MNIST by nigt.torch, from the repository's folder: python -m examples.pytorch [SEED]."""

import pathlib
import sys

import torch
from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential

from data.laptop import fashion
from nigt.torch import NIGT

EPOCHS, BATCH = 2, 100
torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
splits = fashion.fetch(pathlib.Path(".data/downloads"))
(x, y), (x_test, y_test) = (
    (torch.tensor(images)[:, None] / 255, torch.tensor(labels).long()) for images, labels in splits.values()
)
model = Sequential(Conv2d(1, 16, 3, 2), ReLU(), Conv2d(16, 32, 3, 2), ReLU(), Flatten(), Linear(32 * 6 * 6, 10))
optimizer = NIGT(model.parameters(), lr=0.01, excluded_learning_rate_multiplier=10)
steps = EPOCHS * len(x) // BATCH
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
for _ in range(EPOCHS):
    for batch in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
        schedule.step()
with torch.no_grad(), optimizer.evaluating():  # the parameters are w, to evaluate and to save
    print(f"accuracy {(model(x_test).argmax(1) == y_test).float().mean():.4f}")
