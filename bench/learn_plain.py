"""The peer of bench/learn.py: the loop that a competent person writes with PyTorch and pytorch-metric-learning.

The same layers as our encoder, the library's supervised contrastive loss, Adam, batches cut from one tensor in memory;
no checkpoint, no held-out look, no export. Prints one JSON line: images a CPU-second of the training loop, and where
the embeddings of gallery and test rows were written.

    python bench/learn_plain.py FASHION.npz OUT.npz SEED WIDTH DIMENSION EPOCHS BATCH RATE
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from pytorch_metric_learning.losses import SupConLoss
from torch import nn
from torch.nn import functional

MEAN, DEVIATION = 0.286, 0.353


def network(width: int, dimension: int) -> nn.Module:
    """Three convolutions down to 4x4, two of them pooled, and a linear layer."""
    layers: list[nn.Module] = []
    before = 1
    for depth in (1, 2, 3):
        after = depth * width
        pooled = depth < 3
        layers += [
            nn.Conv2d(before, after, 3, 1 if pooled else 2, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            *([nn.MaxPool2d(2)] if pooled else []),
        ]
        before = after
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * 16, dimension))


def main() -> None:
    data, out, *numbers, rate = sys.argv[1:]
    seed, width, dimension, epochs, batch = map(int, numbers)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    with np.load(data) as file:
        images = torch.from_numpy(file["x_train"])[:, None]
        labels = torch.from_numpy(file["y_train"].astype(np.int64))
        test = torch.from_numpy(file["x_test"])[:, None]

    def scaled(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels.float() / 255 - MEAN) / DEVIATION

    model, loss_of = network(width, dimension), SupConLoss(temperature=0.1)
    optimiser = torch.optim.Adam(model.parameters(), lr=float(rate))
    began, seen = time.process_time(), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            loss = loss_of(model(scaled(images[rows])), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            seen += len(rows)
    spent = time.process_time() - began
    model.eval()
    with torch.no_grad():
        gallery, queries = (
            torch.cat([functional.normalize(model(scaled(part)), dim=1) for part in rows.split(2000)]).numpy()
            for rows in (images, test)
        )
    np.savez(out, gallery=gallery, queries=queries)
    print(json.dumps({"cpu_seconds": spent, "images_per_cpu_second": seen / spent}))


if __name__ == "__main__":
    main()
