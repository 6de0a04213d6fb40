"""The kNN head: its graph answers as plain numpy does, its gallery is dealt fairly, and it says no where it must."""

from __future__ import annotations

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch

from backstay.bundle.heads import detach
from backstay.bundle.manifest import NONE
from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import Settings, TrainSettings
from backstay.train.encoders import patches
from backstay.train.heads.knn import NeighbourHead, balanced, build
from backstay.train.loop import fit
from backstay.train.options import Options

CLASSES = tuple(str(c) for c in range(10))
PARTS = {"train": np.arange(600), "tune": np.arange(600, 900)}


def plain_knn(points, owners, log_weights, rows, *, k, sharpness, even, classes, limits=None):
    """Votes of the k nearest, of those that hold the row where any does, by a loop in double precision."""
    found = np.zeros((len(rows), classes))
    for i, row in enumerate(rows.astype(np.float64)):
        similarity = points.astype(np.float64) @ row
        voters = list(range(len(points)))
        if limits is not None:
            voters = [j for j in voters if 1 - similarity[j] <= limits[j]] or voters
        near = sorted(voters, key=lambda j: -similarity[j])[:k]
        each = np.exp([sharpness * (similarity[j] - similarity[near[0]]) + log_weights[j] for j in near])
        for j, weight in zip(near, each / each.sum(), strict=True):
            found[i, owners[j]] += weight
    return (1 - even) * found + even / classes


@pytest.fixture(scope="module", params=[(0.1, 0.0), (0.0, 0.1)], ids=["softmax", "counted, with a limit"])
def bundle(request, scans, tmp_path_factory):
    table, schema = scans
    options = {"k": 7, "temperature": request.param[0], "none_of_these": request.param[1], "gallery": 300}
    recipe = TrainSettings(head="knn", objective="supcon", epochs=2, dimension=16, head_options=options)
    trained = fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path_factory.mktemp("knn"))
    return trained, table.slice(900, 300)


def test_the_graph_answers_as_plain_numpy(bundle):
    trained, asked = bundle
    model = load(trained.bundle_directory)
    outputs = model.predict(asked)
    held = detach(onnx.load_model(trained.bundle_directory / "model.onnx"))[0]
    assert held.points.shape == (300, 16)
    assert (held.neighbours, held.kind) == (7, "knn")
    assert np.bincount(held.owners).tolist() == [30] * 10
    wanted = plain_knn(
        held.points,
        held.owners,
        held.log_weights,
        outputs.embeddings,
        k=7,
        sharpness=held.sharpness,
        even=held.even,
        classes=10,
        limits=held.limits,
    )
    similarity = np.sort(outputs.embeddings @ held.points.T, axis=1)
    sure = similarity[:, -7] - similarity[:, -8] > 1e-5
    if held.limits is not None:
        sure &= (np.abs(similarity[:, -8:] + held.limits[0] - 1) > 1e-5).all(axis=1)
    assert sure.mean() > 0.9
    np.testing.assert_allclose(outputs.scores[sure], wanted[sure], atol=2e-5)
    np.testing.assert_allclose(outputs.distances, 1 - similarity[:, -1], atol=1e-6)
    clear = sure & (np.diff(np.sort(wanted, axis=1)[:, -2:], axis=1)[:, 0] > 1e-4)
    named = np.array(CLASSES, dtype=object)[wanted.argmax(1)]
    if held.limits is not None:
        named[1 - similarity[:, -1] > held.limits[0]] = NONE
        assert 0.0 < np.mean(named == NONE) < 0.25
    np.testing.assert_array_equal(outputs.labels[clear], named[clear])
    truth = np.array(asked.column("y").to_pylist(), dtype=object)
    answered = outputs.labels != NONE
    assert (outputs.labels == truth)[answered].mean() > 0.8
    assert model.manifest.format_version == 3
    assert model.manifest.none_label == ("" if held.limits is None else NONE)


def test_a_resumed_run_gives_the_same_bundle(scans, tmp_path):
    table, schema = scans
    recipe = TrainSettings(head="knn", objective="supcon", epochs=1, dimension=8)
    ids = {fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path / w).model_id for w in ("a", "b")}
    assert len(ids) == 1


def test_bought_vectors_need_no_training_at_all(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    vectors = (rng.normal(size=(3, 6))[truth] * 3 + rng.normal(size=(300, 6))).astype(np.float32)
    kind = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 6)
    table = pa.table({"v": kind, "y": [f"class {t}" for t in truth]})
    columns = (Column("v", ColumnKind.VECTOR, shape=(6,)), Column("y", ColumnKind.CATEGORY))
    recipe = TrainSettings(head="knn", objective="supcon", epochs=1, dimension=6, encoder_options={"layers": 0})
    parts = {"train": np.arange(150), "tune": np.arange(150, 200)}
    classes = tuple(f"class {c}" for c in range(3))
    trained = fit(table, Schema(columns, ("v",), target="y"), parts, recipe, classes=classes, workdir=tmp_path)
    asked = table.slice(200)
    outputs = load(trained.bundle_directory).predict(asked)
    assert np.mean(outputs.labels == np.array(asked.column("y").to_pylist(), dtype=object)) > 0.9
    unit = vectors[200:] / np.linalg.norm(vectors[200:], axis=1, keepdims=True)
    np.testing.assert_allclose(outputs.embeddings, unit, atol=1e-5)


def test_weights_count_in_the_votes_and_rows_of_weight_nought_are_not_kept():
    x = torch.nn.functional.normalize(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    labels, weights = torch.arange(40) % 2, torch.cat([torch.zeros(10), torch.linspace(0.5, 3.0, 30)])
    head = NeighbourHead(4, 2, k=5, temperature=0.0)
    head.fit(x, labels, weights)
    assert len(head.gallery) == 30
    held = head.gallery.numpy(), head.owners.numpy(), np.log(weights[10:].numpy())
    wanted = plain_knn(*held, x.numpy(), k=5, sharpness=0.0, even=0.0, classes=2)
    np.testing.assert_allclose(head(x).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(("counts", "most"), [((50, 3, 20), 30), ((5, 5, 5), 15), ((9, 1, 1), 4), ((100, 100), 7)])
def test_thinning_gives_every_class_as_many_as_any_other_or_all_it_has(counts, most):
    labels = np.repeat(np.arange(len(counts)), counts)
    kept = np.bincount(labels[balanced(labels, most)], minlength=len(counts))
    assert kept.sum() == min(most, sum(counts))
    short = [k for k, c in zip(kept, counts, strict=True) if k < c]
    assert not short or max(kept) - min(short) <= 1


def test_an_objective_that_trains_the_head_is_refused(scans, tmp_path):
    table, schema = scans
    recipe = TrainSettings(head="knn", objective="cross_entropy", epochs=1)
    with pytest.raises(BackstayError, match=r'set train\.objective = "supcon", which it is where none'):
        fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path)


def test_where_none_is_named_the_head_of_examples_has_one_that_leaves_it_alone():
    assert TrainSettings(head="knn").objective == "supcon"
    assert TrainSettings(head="anomaly").objective == "denoising"
    assert TrainSettings(head="knn", objective="triplet").objective == "triplet"
    assert TrainSettings().objective == TrainSettings(head="linear").objective == "cross_entropy"
    assert Settings.model_validate({"train": {"head": "knn"}}).train.objective == "supcon"


def test_an_encoder_that_needs_no_objective_needs_none_to_be_named(scans, tmp_path, monkeypatch):
    monkeypatch.setattr(patches, "_PATCHES", 3000)
    table, schema = scans
    recipe = TrainSettings(encoder="patches", head="knn", dimension=16, encoder_options={"filters": 12})
    found = fit(table, schema, PARTS, recipe, classes=CLASSES, workdir=tmp_path)
    held_out = table.slice(1300)
    told = load(found.bundle_directory).predict(held_out).labels
    assert np.mean(told == np.array(held_out["y"].to_pylist())) > 0.8
    assert found.figures["epochs"] == 1


def test_options_are_checked():
    with pytest.raises(BackstayError, match=r"head_options\.k is 0"):
        build(4, 2, Options("train.head_options", {"k": 0}))
    with pytest.raises(BackstayError, match="no key 'neighbours'"):
        build(4, 2, Options("train.head_options", {"neighbours": 3}))
