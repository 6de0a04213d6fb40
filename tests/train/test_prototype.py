"""The prototype head: means by a plain loop, the nearest mean answers, and the exported graph agrees."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from backstay.bundle.heads import detach
from backstay.bundle.manifest import NONE
from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.heads.prototype import PrototypeHead, build
from backstay.train.loop import fit
from backstay.train.options import Options


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


def test_with_a_limit_only_means_near_enough_vote_and_the_rest_is_none_of_these(scans, tmp_path):
    table, schema = scans
    parts = {"train": np.arange(600), "tune": np.arange(600, 900)}
    recipe = TrainSettings(head="prototype", epochs=2, dimension=16, head_options={"none_of_these": 0.1})
    classes = tuple(str(c) for c in range(10))
    trained = fit(table, schema, parts, recipe, classes=classes, workdir=tmp_path)
    outputs = load(trained.bundle_directory).predict(table.slice(900, 400))
    held = detach(onnx.load_model(trained.bundle_directory / "model.onnx"))[0]
    distance = 1 - outputs.embeddings.astype(np.float64) @ held.points.T
    limit = held.limits[0]
    none = distance.min(axis=1) > limit
    assert 0.02 < none.mean() < 0.25
    voting = (distance <= limit) | none[:, None]
    votes = np.where(voting, np.exp(-held.sharpness * distance), 0.0)
    wanted = (1 - held.even) * votes / votes.sum(axis=1, keepdims=True) + held.even / 10
    sure = (np.abs(distance - limit) > 1e-5).all(axis=1)
    np.testing.assert_allclose(outputs.scores[sure], wanted[sure], atol=1e-5)
    named = np.where(none, NONE, np.array(classes, dtype=object)[wanted.argmax(1)])
    np.testing.assert_array_equal(outputs.labels[sure], named[sure])
    # A tenth of the rows of known classes, give or take what 300 rows to calibrate on and 400 to look at allow.
    assert trained.parity <= 1e-4


def test_a_level_that_the_tune_part_cannot_keep_is_refused(scans, tmp_path):
    table, schema = scans
    recipe = TrainSettings(head="prototype", epochs=1, dimension=8, head_options={"none_of_these": 0.01})
    with pytest.raises(BackstayError, match="give 99 or more rows in the tune part"):
        fit(
            table,
            schema,
            {"train": np.arange(600), "tune": np.arange(600, 660)},
            recipe,
            classes=tuple(str(c) for c in range(10)),
            workdir=tmp_path,
        )


def test_a_class_of_that_name_is_refused():
    options = Options("train.head_options", {"none_of_these": 0.1, "none_label": "b"})
    head = build(4, 2, options)
    head.bound(torch.nn.functional.normalize(torch.randn(30, 4, generator=torch.Generator().manual_seed(2)), dim=1))
    with pytest.raises(BackstayError, match="none_label"):
        head.exported(("a", "b"))
