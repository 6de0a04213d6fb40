"""The prototype head: means by a plain loop, the nearest mean answers, and the exported graph agrees."""

from __future__ import annotations

import numpy as np
import torch

from backstay.settings import TrainSettings
from backstay.train.heads.prototype import PrototypeHead
from backstay.train.loop import fit


def test_the_nearest_weighted_mean_answers():
    x = torch.nn.functional.normalize(torch.randn(60, 5, generator=torch.Generator().manual_seed(1)), dim=1)
    labels, weights = torch.arange(60) % 3, torch.linspace(0.5, 2.0, 60)
    head = PrototypeHead(5, 3)
    head.fit(x, labels, weights)
    means = []
    for c in range(3):
        total = sum(float(weights[i]) * x[i].double().numpy() for i in range(60) if labels[i] == c)
        means.append(total / np.linalg.norm(total))
    np.testing.assert_allclose(head.means.detach().numpy(), means, atol=1e-6)
    distances = np.array([[np.sum((row - m) ** 2) for m in means] for row in x.double().numpy()])
    np.testing.assert_allclose(head(x).detach().numpy(), -4 * distances, atol=1e-5)
    head.calibrate(head(x), labels)
    scores = head.scores(head(x)).detach().numpy()
    np.testing.assert_array_equal(scores.argmax(1), distances.argmin(1))
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)


def test_a_trained_bundle_answers_as_torch_does(scans, tmp_path):
    table, schema = scans
    parts = {"train": np.arange(600), "tune": np.arange(600, 900)}
    recipe = TrainSettings(head="prototype", epochs=2, dimension=16, batch_size=64)
    classes = tuple(str(c) for c in range(10))
    trained = fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path)
    assert trained.parity <= 1e-4
    assert trained.figures["train_rows"] == 600
