from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.inputs import table_from
from backstay.bundle.model import load
from backstay.bundle.sets import texts_of
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.settings import Settings, TrainSettings
from backstay.train import set_loop, value_loop
from backstay.train.loop import fit
from backstay.train.untrained import untrained_embeddings

RNG = np.random.default_rng(0)
CENTRES = 3 * RNG.normal(size=(3, 6))
TRUTH = RNG.integers(0, 3, 300)
VECTORS = (CENTRES[TRUTH] + RNG.normal(size=(300, 6)) + 2).astype(np.float32)
RAW = pa.table({"v": pa.array(VECTORS.tolist()), "y": [f"c{t}" for t in TRUTH]})
SCHEMA = infer_schema(RAW, target="y")
TABLE = conform(RAW, SCHEMA)
PARTS = {"train": np.arange(200), "tune": np.arange(200, 240)}
CLASSES = ("c0", "c1", "c2")


def run(folder: Path, **recipe: object) -> Path:
    settings = TrainSettings(epochs=6, batch_size=32, learning_rate=0.02, **recipe)
    out = fit(TABLE, SCHEMA, PARTS, settings, classes=CLASSES, workdir=folder)
    assert out.parity < 1e-4
    return out.bundle_directory


def accuracy(folder: Path) -> float:
    rest = TABLE.slice(240)
    return float((load(folder).predict(rest).labels == np.array(rest.column("y").to_pylist(), dtype=object)).mean())


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("vectors"), dimension=4, encoder_options={"layers": 1})


def test_layers_that_bend(tmp_path: Path) -> None:
    assert accuracy(run(tmp_path, dimension=4, encoder_options={"layers": 2, "width": 16})) > 0.9


def test_a_linear_layer_and_its_bundle(straight: Path) -> None:
    assert accuracy(straight) > 0.9
    model = load(straight)
    (spec,) = model.manifest.inputs
    assert (spec.name, spec.datatype, spec.shape, spec.adapter) == ("v", "FP32", (-1, 6), "vector")
    back = table_from(model.manifest, {"v": VECTORS[:5]})
    assert np.array_equal(model.predict(back).scores, model.predict(TABLE.slice(0, 5)).scores)


@pytest.mark.parametrize("objective", ["cross_entropy", "supcon"])
def test_without_layers_the_embedding_is_the_vector(tmp_path: Path, objective: str) -> None:
    folder = run(tmp_path, dimension=6, objective=objective, encoder_options={"layers": 0})
    embeddings = load(folder).predict(TABLE.slice(240)).embeddings
    want = VECTORS[240:] / np.linalg.norm(VECTORS[240:], axis=1, keepdims=True)
    assert np.abs(embeddings - want).max() < 1e-6


def test_without_layers_the_head_is_fitted_whatever_the_objective(tmp_path: Path) -> None:
    """Two epochs of steps would leave the head of cross_entropy half made; there is no other thing to learn."""
    said = []
    for objective in ("cross_entropy", "supcon"):
        recipe = TrainSettings(epochs=2, dimension=6, encoder_options={"layers": 0}, objective=objective)
        out = fit(TABLE, SCHEMA, PARTS, recipe, classes=CLASSES, workdir=tmp_path / objective)
        assert out.figures["epochs"] == 1
        said.append(load(out.bundle_directory).predict(TABLE.slice(240)).scores)
    assert np.abs(said[0] - said[1]).max() < 1e-6
    assert accuracy(out.bundle_directory) > 0.9


def test_without_layers_the_head_of_a_number_is_fitted(tmp_path: Path) -> None:
    truth = VECTORS[:, 0] / np.linalg.norm(VECTORS, axis=1)
    rows = pa.table({"v": RAW.column("v"), "y": pa.array(truth, pa.float64())})
    schema = infer_schema(rows, target="y", kinds={"y": "number"}, task="regression")
    recipe = TrainSettings(
        objective="huber", head="value", epochs=2, augmentation=0, dimension=6, encoder_options={"layers": 0}
    )
    out = value_loop.fit(conform(rows, schema), schema, PARTS, recipe, workdir=tmp_path)
    said = load(out.bundle_directory).predict(rows.slice(240)).numbers
    assert said is not None
    assert np.abs(said - truth[240:]).mean() < 0.02 * truth.std()


def test_without_layers_the_head_of_sets_is_fitted(tmp_path: Path) -> None:
    there = VECTORS[:, :2] > np.median(VECTORS[:, :2], axis=0)
    rows = pa.table({"v": RAW.column("v"), "y": texts_of(there, ("a", "b")).tolist()})
    schema = infer_schema(rows, target="y", task="multilabel")
    recipe = Settings.model_validate(
        {"task": "multilabel", "train": {"epochs": 2, "dimension": 6, "encoder_options": {"layers": 0}}}
    ).train
    out = set_loop.fit(conform(rows, schema), schema, PARTS, recipe, classes=("a", "b"), workdir=tmp_path)
    assert np.mean(load(out.bundle_directory).predict(rows.slice(240)).members == there[240:]) > 0.9


def test_without_layers_there_is_no_untrained_encoder_to_compare_with() -> None:
    recipe = TrainSettings(dimension=6, encoder_options={"layers": 0})
    assert untrained_embeddings(TABLE, SCHEMA, PARTS["train"], recipe, (TABLE,), classes=3) == ()
    recipe = TrainSettings(dimension=6, encoder_options={"layers": 1})
    (drawn,) = untrained_embeddings(TABLE, SCHEMA, PARTS["train"], recipe, (TABLE,), classes=3)
    assert drawn.shape == (300, 6)


def test_without_layers_no_decoder_is_trained(tmp_path: Path) -> None:
    two = RAW.set_column(1, "y", pa.array(["c0" if t == 0 else "other" for t in TRUTH]))
    recipe = TrainSettings(
        head="anomaly",
        objective="denoising",
        dimension=6,
        encoder_options={"layers": 0},
        head_options={"by": "reconstruction", "normal": "c0"},
    )
    with pytest.raises(BackstayError, match="no decoder is trained"):
        fit(conform(two, SCHEMA), SCHEMA, PARTS, recipe, classes=("c0", "other"), workdir=tmp_path)


def test_without_layers_the_dimension_is_given(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="6 numbers"):
        run(tmp_path, dimension=4, encoder_options={"layers": 0})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([[1.0] * 6, [1.0] * 5], "row 2 of 'v' has 5 numbers, the model takes 6"),
        ([None, [1.0] * 6], "row 1 of 'v' has no vector"),
        ([[1.0] * 5 + [float("nan")]], "row 1 of 'v' holds a null, NaN or infinity"),
        (["a"], "holds string, not vectors"),
    ],
)
def test_rows_that_are_no_vectors(straight: Path, values: list[object], told: str) -> None:
    model = load(straight)
    with pytest.raises(BackstayError, match=told):
        model.predict(pa.table({"v": pa.array(values)}))
