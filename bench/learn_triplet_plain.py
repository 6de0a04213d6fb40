"""The peer of bench/learn_triplet.py: the semi-hard triplet loop one writes with PyTorch and pytorch-metric-learning.

The same layers as our encoder, the library's miner and loss as its documentation pairs them, Adam, batches cut from one
tensor in memory; no checkpoint, no held-out look, no export. Prints one JSON line: images a CPU-second of the loop, and
where the embeddings of gallery and test rows were written.

    python bench/learn_triplet_plain.py FASHION.npz OUT.npz SEED WIDTH DIMENSION EPOCHS BATCH RATE
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import nn
from torch.nn import functional

from learn_plain import DEVIATION, MEAN

MARGIN = 0.2


def network(width: int, dimension: int) -> nn.Module:
    """Three convolutions with a stride of two down to 4x4, and a linear layer."""
    layers: list[nn.Module] = []
    before = 1
    for after in (width, 2 * width, 2 * width):
        layers += [nn.Conv2d(before, after, 3, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
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

    model, loss_of = network(width, dimension), TripletMarginLoss(margin=MARGIN)
    miner = TripletMarginMiner(margin=MARGIN, type_of_triplets="semihard")
    optimiser = torch.optim.Adam(model.parameters(), lr=float(rate))
    began, seen = time.process_time(), 0
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch):
            embeddings = model(scaled(images[rows]))
            loss = loss_of(embeddings, labels[rows], miner(embeddings, labels[rows]))
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
