from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_iris
from sklearn.neighbors import KNeighborsClassifier

from backstay.evaluate import controls
from backstay.evaluate.controls import majority, raw_knn, raw_matrix, tf_idf_linear
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema


def test_majority_ignores_unknown_classes_and_needs_one_known() -> None:
    assert majority(np.array([-1, -1, -1, 2, 2, 0]), 3).tolist() == [2, 2, 2]
    with pytest.raises(BackstayError, match="none of 2 labels"):
        majority(np.array([-1, -1]), 3)
    with pytest.raises(BackstayError, match="none of 0 labels"):
        majority(np.zeros(0, dtype=np.int64), 3)


def test_neighbours_agree_with_scikit_learn() -> None:
    x, y = load_iris(return_X_y=True)
    rng = np.random.default_rng(0)
    x = (x + rng.normal(0, 1e-3, x.shape)).astype(np.float32)
    train = rng.random(len(x)) < 0.6
    want = KNeighborsClassifier(5).fit(x[train], y[train]).predict_proba(x[~train])
    assert raw_knn(x[train], y[train], x[~train], k=5, classes=3) == pytest.approx(want)


def test_without_training_rows_a_row_and_its_group_are_left_out() -> None:
    rng = np.random.default_rng(1)
    sources = rng.normal(size=(100, 4))
    rows = np.repeat(np.arange(100), 3)
    x = (sources[rows] + 0.001 * rng.normal(size=(300, 4))).astype(np.float32)
    y = rng.integers(0, 2, 100)[rows]  # labels by chance: only a copy of the same source can know them
    leaky = raw_knn(x, y, x, k=1, classes=2, leave_out=np.arange(300)).argmax(axis=1)
    fair = raw_knn(x, y, x, k=1, classes=2, leave_out=rows).argmax(axis=1)
    assert (leaky == y).mean() == 1.0
    assert 0.3 < (fair == y).mean() < 0.7


@pytest.mark.parametrize("apart", [False, True])
def test_a_large_gallery_is_thinned(monkeypatch: pytest.MonkeyPatch, apart: bool) -> None:
    sizes: list[int] = []
    real = controls.nearest
    monkeypatch.setattr(controls, "MOST_GALLERY", 50)
    monkeypatch.setattr(
        controls, "nearest", lambda gallery, *a, **k: sizes.append(len(gallery)) or real(gallery, *a, **k)
    )
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(400, 2)).astype(np.float32), rng.integers(0, 2, 400)
    scores = raw_knn(x, y, x, k=3, classes=2, leave_out=np.arange(400) if apart else None)
    assert sizes == [50]
    assert scores.shape == (400, 2)


def test_neighbours_in_a_thinned_gallery_are_those_of_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "MOST_GALLERY", 50)
    x = np.arange(400, dtype=np.float32)[:, None]
    y = (np.arange(400) >= 200).astype(np.int64)
    kept = controls.thinned(400)
    assert (raw_knn(x, y, x[kept], k=1, classes=2).argmax(axis=1) == y[kept]).all()


def test_a_row_of_every_kind_becomes_numbers() -> None:
    pixels = np.arange(3 * 2 * 2, dtype=np.uint8).reshape(3, 4)
    image = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.uint8(), (2, 2, 1)), pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), 4)
    )
    table = pa.table(
        {
            "picture": image,
            "age": pa.array([1.0, None, 3.0]),
            "flat": pa.array([2, 2, 2], pa.int64()),
            "town": pa.array(["x", None, "x"]),
            "yes": pa.array([True, False, None]),
            "note": pa.array(["a", "b", "c"]),
        }
    )
    kinds = {
        "picture": ColumnKind.IMAGE,
        "age": ColumnKind.NUMBER,
        "flat": ColumnKind.INTEGER,
        "town": ColumnKind.CATEGORY,
        "yes": ColumnKind.BOOLEAN,
        "note": ColumnKind.TEXT,
    }
    columns = tuple(Column(n, k, shape=(2, 2, 1) if k is ColumnKind.IMAGE else ()) for n, k in kinds.items())
    matrix = raw_matrix(table, Schema(columns, tuple(kinds)))
    assert matrix.dtype == np.float32
    assert matrix[:, :4] == pytest.approx(pixels / 255)
    assert matrix[:, 4:8].tolist() == [[-1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]]  # age and its gap, flat and its gap
    assert matrix[:, 8:10].sum(axis=1).tolist() == [1, 1, 1]
    assert matrix[:, 10:13].sum(axis=1).tolist() == [1, 1, 1]
    assert matrix.shape == (3, 13 + controls.WORDS)
    assert np.isfinite(matrix).all()


def test_only_the_commonest_categories_count_and_times_alone_are_no_neighbours() -> None:
    schema = Schema((Column("town", ColumnKind.CATEGORY), Column("at", ColumnKind.TIME)), ("town",))
    table = pa.table({"town": [f"t{i}" for i in range(60)], "at": ["n"] * 60})
    assert raw_matrix(table, schema).shape == (60, controls.TOP)
    assert raw_matrix(table, Schema(schema.columns, ("at",))).tolist() == [[0.0]] * 60


THINGS = ("card", "parcel", "refund")
SAID = [f"please tell me {word} where the {thing} is" for thing in THINGS for word in "abcdefghijklmnop"]
MEANT = np.repeat(np.arange(3), 16)


def test_words_tell_texts_apart() -> None:
    asked = [f"any news of my {thing}?" for thing in THINGS] + [""]
    scores = tf_idf_linear(SAID, MEANT, asked, classes=4)
    assert scores[:3].argmax(axis=1).tolist() == [0, 1, 2]
    assert scores.shape == (4, 4)
    assert np.allclose(scores.sum(axis=1), 1.0)
    hidden = MEANT.copy()
    hidden[MEANT == 1] = -1
    assert (tf_idf_linear(SAID, hidden, asked, classes=4).argmax(axis=1) != 1).all()


def test_without_training_rows_a_text_is_answered_by_models_of_the_other_groups() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    texts = [f"note{group} of the day" for group in groups]
    known = rng.integers(0, 2, 40)[groups]  # by chance: only a model that has seen the group can know
    leaky = tf_idf_linear(texts, known, texts, classes=2).argmax(axis=1)
    fair = tf_idf_linear(texts, known, texts, classes=2, leave_out=groups).argmax(axis=1)
    assert (leaky == known).mean() == 1.0
    assert (fair == known).mean() < 0.75


def test_one_known_class_is_all_that_is_answered() -> None:
    scores = tf_idf_linear(SAID, np.zeros(48, dtype=np.int64), SAID[:2], classes=3)
    assert scores.argmax(axis=1).tolist() == [0, 0]


def test_texts_and_vectors_have_distances() -> None:
    columns = (Column("said", ColumnKind.TEXT), Column("v", ColumnKind.VECTOR, shape=(2,)))
    vectors = pa.array([[3.0, 4.0], [0.0, 0.0], [6.0, 8.0]], pa.list_(pa.float32(), 2))
    table = pa.table({"said": ["My Card", "my card", None], "v": vectors})
    both = raw_matrix(table, Schema(columns, ("said", "v")))
    assert both.shape == (3, controls.WORDS + 2)
    assert both[0, :-2] == pytest.approx(both[1, :-2])
    assert np.linalg.norm(both[0, :-2]) == pytest.approx(1.0)
    assert both[2, :-2].sum() == 0.0
    assert both[:, -2:] == pytest.approx(np.array([[0.6, 0.8], [0, 0], [1.2, 1.6]]))


def _wild(values: np.ndarray, where: object, wild: object) -> np.ndarray:
    spoilt = values.copy()
    spoilt[where] = wild
    return spoilt


@pytest.mark.parametrize("wild", [1e30, -1e30, 1e308, -999.0, np.inf])
def test_wild_values_blind_no_neighbour(wild: float) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=400)
    y = (x > 0).astype(np.int64)
    schema = Schema((Column("x", ColumnKind.NUMBER),), ("x",))
    for places in ([7], range(0, 320, 40)):
        rows = raw_matrix(pa.table({"x": _wild(x, list(places), wild)}), schema, learned=320)
        assert np.isfinite(rows).all()
        scores = raw_knn(rows[:320], y[:320], rows[320:], k=5, classes=2)
        assert (scores.argmax(axis=1) == y[320:]).mean() > 0.95


def test_a_sound_column_is_scaled_by_its_own_mean_and_deviation() -> None:
    x = np.random.default_rng(5).normal(3.0, 2.0, size=2000)
    found = raw_matrix(pa.table({"x": x}), Schema((Column("x", ColumnKind.NUMBER),), ("x",)))
    assert found[:, 0] == pytest.approx((x - x.mean()) / x.std(), abs=1e-5)
    seldom = np.where(np.arange(2000) % 50 == 0, 3.0, 0.0)
    found = raw_matrix(pa.table({"x": seldom}), Schema((Column("x", ColumnKind.NUMBER),), ("x",)))
    assert found[:, 0] == pytest.approx(np.clip((seldom - seldom.mean()) / seldom.std(), -6, 6), abs=1e-5)


def test_what_is_judged_moves_no_scale() -> None:
    rng = np.random.default_rng(6)
    kinds = {"x": ColumnKind.NUMBER, "town": ColumnKind.CATEGORY, "said": ColumnKind.TEXT, "v": ColumnKind.VECTOR}
    columns = tuple(Column(n, k, shape=(2,) if k is ColumnKind.VECTOR else ()) for n, k in kinds.items())

    def rows(n: int, scale: float, town: str, said: str) -> pa.Table:
        vectors = pa.FixedSizeListArray.from_arrays(pa.array((rng.normal(size=2 * n) * scale).astype(np.float32)), 2)
        return pa.table({"x": rng.normal(size=n) * scale, "town": [town] * n, "said": [said] * n, "v": vectors})

    learned, asked = rows(50, 1.0, "a", "my card"), rows(50, 100.0, "b", "your parcel")
    schema = Schema(columns, tuple(kinds))
    both = raw_matrix(pa.concat_tables([learned, asked]), schema, learned=50)
    assert both.shape[1] == 2 + 1 + controls.WORDS + 2
    assert (both[:50] == raw_matrix(learned, schema)).all()
