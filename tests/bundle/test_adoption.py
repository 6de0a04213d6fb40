"""Foreign models in, foreign dangers out."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from backstay.bundle.inputs import arrays_for, table_from
from backstay.bundle.inspect import inspect_onnx
from backstay.bundle.model import Model, load
from backstay.bundle.write import write_bundle
from backstay.kernel.errors import BackstayError, NotFound, Tampered
from backstay.kernel.records import Column, ColumnKind

RNG = np.random.default_rng(5)
X = RNG.normal(size=(120, 4)).astype(np.float32)
COLUMNS = tuple(Column(f"x{i}", ColumnKind.NUMBER) for i in range(4))
TABLE = pa.table({f"x{i}": X[:, i].astype(np.float64) for i in range(4)})
TWO = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")


def export(model, example=X[:1], zipmap=False, **options) -> bytes:
    from skl2onnx import to_onnx

    return to_onnx(
        model, example, options={id(model): {"zipmap": zipmap}}, target_opset=18, **options
    ).SerializeToString()


def adopt(tmp_path: Path, content: bytes, columns=COLUMNS, classes=("no", "yes")) -> Model:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    model_id = write_bundle(tmp_path / "bundles", content, inspect_onnx(path, columns, classes))
    return load(tmp_path / "bundles" / model_id, expected_id=model_id)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=600, random_state=0, tol=1e-2)),
    ],
    ids=["logistic", "pipeline", "mlp"],
)
def test_scikit_learn_answers_as_it_did_at_home(tmp_path: Path, estimator) -> None:
    estimator.fit(X, TWO)
    model = adopt(tmp_path, export(estimator))
    outputs = model.predict(TABLE, batch=50)
    assert model.classes == ("no", "yes")
    assert outputs.labels.tolist() == estimator.predict(X).tolist()
    assert outputs.scores is not None
    np.testing.assert_allclose(outputs.scores, estimator.predict_proba(X), atol=1e-5)
    assert outputs.embeddings is None


def test_whole_number_labels_keep_the_order_of_the_scores(tmp_path: Path) -> None:
    targets = np.array([2, 10, 11])[np.digitize(X[:, 0], [-0.5, 0.5])]
    estimator = LogisticRegression().fit(X, targets)
    model = adopt(tmp_path, export(estimator), classes=("10", "11", "2"))
    outputs = model.predict(TABLE)
    assert model.classes == ("2", "10", "11")
    assert outputs.labels.tolist() == [str(v) for v in estimator.predict(X)]


def test_zero_and_one_are_false_and_true_for_a_boolean_target(tmp_path: Path) -> None:
    estimator = LogisticRegression().fit(X, (X[:, 0] > 0).astype(np.int64))
    model = adopt(tmp_path, export(estimator), classes=("false", "true"))
    assert model.classes == ("false", "true")
    assert set(model.predict(TABLE).labels) == {"false", "true"}


def test_one_input_a_column_with_strings_and_nulls(tmp_path: Path) -> None:
    import pandas as pd
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    frame = pd.DataFrame({"n": X[:, 0], "c": np.where(X[:, 1] > 0, "ü", "v")})
    transform = ColumnTransformer(
        [("n", StandardScaler(), ["n"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["c"])]
    )
    estimator = make_pipeline(transform, LogisticRegression()).fit(frame, TWO)
    content = to_onnx(
        estimator,
        initial_types=[("n", FloatTensorType([None, 1])), ("c", StringTensorType([None, 1]))],
        options={id(estimator): {"zipmap": False}},
        target_opset=18,
    ).SerializeToString()
    columns = (Column("c", ColumnKind.CATEGORY), Column("n", ColumnKind.NUMBER), Column("unused", ColumnKind.NUMBER))
    model = adopt(tmp_path, content, columns)
    table = pa.table({"n": frame["n"].astype(float), "c": frame["c"].tolist()})
    np.testing.assert_allclose(model.predict(table).scores, estimator.predict_proba(frame), atol=1e-5)
    gaps = pa.table({"n": [0.5, 0.5], "c": pa.array([None, "never seen"], pa.string())})
    scores = model.predict(gaps).scores
    assert scores is not None
    np.testing.assert_allclose(scores[0], scores[1])
    assert table_from(model.manifest, arrays_for(model.manifest, gaps)).column("c").to_pylist() == [None, "never seen"]


def test_an_image_column_is_flattened_for_a_matrix_model_and_comes_back(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, size=(40, 4, 4, 1)).astype(np.uint8)
    targets = np.where(pixels[:, 0, 0, 0] > 128, "yes", "no")
    estimator = LogisticRegression(max_iter=2000).fit(pixels.reshape(40, -1) / 255.0, targets)
    estimator.coef_ /= 255.0
    columns = (Column("image", ColumnKind.IMAGE, shape=(4, 4, 1)),)
    model = adopt(tmp_path, export(estimator, pixels[:1].reshape(1, -1).astype(np.float32)), columns)
    kind = pa.fixed_shape_tensor(pa.uint8(), (4, 4, 1))
    storage = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 16)
    table = pa.table({"image": pa.ExtensionArray.from_storage(kind, storage)})
    assert model.predict(table).labels.tolist() == estimator.predict(pixels.reshape(40, -1)).tolist()
    tail = table.slice(30)
    assert (
        table_from(model.manifest, arrays_for(model.manifest, tail)).column("image").to_pylist()
        == tail.column("image").to_pylist()
    )


def test_zipmap_is_refused_with_the_fix(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="zipmap=False"):
        adopt(tmp_path, export(LogisticRegression().fit(X, TWO), zipmap=True))


class Bomb:
    """A pickle that would run code when loaded."""

    def __reduce__(self):
        return (print, ("boom",))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("name", ["model.pkl", "model.onnx"])
def test_pickles_are_refused_and_never_loaded(tmp_path: Path, capsys, protocol: int, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(), protocol=protocol))
    with pytest.raises(BackstayError) as caught:
        inspect_onnx(path, COLUMNS, ("no", "yes"))
    if protocol >= 2 or name.endswith(".pkl"):
        assert "to_onnx" in caught.value.fix
    assert "boom" not in capsys.readouterr().out


def test_a_torch_file_is_told_how_to_convert(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data.pkl", b"\x80\x04N.")
    with pytest.raises(BackstayError, match=r"torch\.onnx\.export"):
        inspect_onnx(path, COLUMNS, None)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("net.h5", b"\x89HDF\r\n\x1a\n....", "tf2onnx"),
        ("net.onnx", b"\x89HDF\r\n\x1a\n....", "tf2onnx"),
        ("net.keras", b"anything", "tf2onnx"),
        ("boosted.ubj", b"{L\x00", "hand the fitted XGBoost"),
        ("boosted.txt", b"tree\nversion=v4", "hand the fitted XGBoost"),
        ("boosted.cbm", b"CBM1", "save_model"),
        ("weights.safetensors", b"\x10\x00", "without a model"),
    ],
)
def test_a_file_of_another_library_is_told_how_to_convert(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BackstayError) as caught:
        inspect_onnx(path, COLUMNS, None)
    assert said in caught.value.fix


@pytest.mark.parametrize("content", [b"", b"not a model at all", b"\x08\x0a\x12"])
def test_what_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(BackstayError, match="not a sound ONNX model"):
        inspect_onnx(path, COLUMNS, ("no", "yes"))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        inspect_onnx(tmp_path / "absent.onnx", COLUMNS, None)


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    model = onnx.load_model_from_string(linear(softmax=True))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="elsewhere.bin", size_threshold=0)
    with pytest.raises(BackstayError, match="another file"):
        inspect_onnx(path, COLUMNS, ("no", "yes"))


def linear(*, softmax: bool, width: int = 4, input_name: str = "X") -> bytes:
    """A hand-made linear model with scores only, as torch users export them."""
    weights = numpy_helper.from_array(RNG.normal(size=(width, 2)).astype(np.float32), "w")
    nodes = [helper.make_node("MatMul", [input_name, "w"], ["logits"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], ["out"]))
    name = "out" if softmax else "logits"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 2])],
        [weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


def test_scores_alone_are_enough(tmp_path: Path) -> None:
    outputs = adopt(tmp_path, linear(softmax=True)).predict(TABLE)
    assert outputs.scores is not None
    assert outputs.labels.tolist() == np.array(["no", "yes"])[outputs.scores.argmax(axis=1)].tolist()


def test_logits_are_no_probabilities(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="softmax"):
        adopt(tmp_path, linear(softmax=False))


def test_wrong_width_classes_and_kinds(tmp_path: Path) -> None:
    with pytest.raises(BackstayError, match="takes 3 values a row and the rows have 4"):
        adopt(tmp_path, linear(softmax=True, width=3))
    with pytest.raises(BackstayError, match="scores 2 classes"):
        adopt(tmp_path, linear(softmax=True), classes=("a", "b", "c"))
    with pytest.raises(BackstayError, match="'x3' is category"):
        adopt(tmp_path, linear(softmax=True), columns=(*COLUMNS[:3], Column("x3", ColumnKind.CATEGORY)))


def test_rows_that_do_not_fit_the_model(tmp_path: Path) -> None:
    model = adopt(tmp_path, linear(softmax=True))
    with pytest.raises(BackstayError, match="no column 'x3'"):
        model.predict(TABLE.drop_columns(["x3"]))
    with pytest.raises(BackstayError, match="give numbers"):
        model.predict(pa.table({f"x{i}": ["a"] for i in range(4)}))
    with pytest.raises(BackstayError, match="could not answer"):
        model.run({"X": np.zeros((2, 9), np.float32)})
    empty = model.predict(TABLE.slice(0, 0))
    assert len(empty.labels) == 0
    assert empty.scores is not None
    assert empty.scores.shape == (0, 2)


def test_a_flipped_byte_anywhere_is_noticed(tmp_path: Path) -> None:
    model = adopt(tmp_path, linear(softmax=True))
    graph, manifest = model.path / "model.onnx", model.path / "manifest.json"
    sound = graph.read_bytes()
    for place in (0, len(sound) // 2, len(sound) - 1):
        changed = bytearray(sound)
        changed[place] ^= 1
        graph.write_bytes(bytes(changed))
        with pytest.raises(Tampered):
            load(model.path)
    graph.write_bytes(sound[:-1])
    with pytest.raises(Tampered):
        load(model.path)
    graph.write_bytes(sound)
    manifest.write_text(manifest.read_text().replace('"yes"', '"YES"'))
    with pytest.raises(Tampered):
        load(model.path)


def test_the_same_bytes_are_the_same_model(tmp_path: Path) -> None:
    content = linear(softmax=True)
    assert adopt(tmp_path, content).id == adopt(tmp_path, content).id
    assert [p.name for p in (tmp_path / "bundles").iterdir() if p.name.startswith(".")] == []


def test_a_class_that_is_no_plain_number_is_ordered_by_letters(tmp_path: Path) -> None:
    probabilities = LogisticRegression().fit(X, np.where(TWO == "yes", 2, 1))
    assert adopt(tmp_path, only_scores(export(probabilities)), classes=("²", "1")).manifest.classes == ("1", "²")


def only_scores(content: bytes) -> bytes:
    """The graph without its labels, hence without the names of its classes."""
    model = onnx.load_from_string(content)
    label = next(o for o in model.graph.output if o.type.tensor_type.elem_type != TensorProto.FLOAT)
    model.graph.output.remove(label)
    return model.SerializeToString()
