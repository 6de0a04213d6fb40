from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.inputs import table_from
from backstay.bundle.model import load
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.settings import TrainSettings
from backstay.train.loop import fit

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
