"""The linear control of tables: against scikit-learn, by plain formulas, and with gaps, categories and unknown rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from backstay.evaluate import linear_controls
from backstay.evaluate.controls import raw_matrix
from backstay.evaluate.linear_controls import of_a_table, raw_linear, raw_linear_sets, raw_linear_values
from backstay.kernel.records import Column, ColumnKind, Schema

RNG = np.random.default_rng(0)
ROWS, ASKED = RNG.normal(size=(400, 6)).astype(np.float32), RNG.normal(size=(150, 6)).astype(np.float32)
BEND = RNG.normal(size=(6, 3))


def classes_of(rows: np.ndarray, count: int) -> np.ndarray:
    """Codes by a noisy linear rule."""
    noisy = rows @ BEND[:, :count] + RNG.normal(size=(len(rows), count))
    return noisy.argmax(axis=1).astype(np.int64)


@pytest.mark.parametrize("count", [2, 3])
def test_it_is_scikit_learns_logistic_regression_as_it_comes(count: int) -> None:
    known = classes_of(ROWS, count)
    found = raw_linear(ROWS, known, ASKED, classes=count)
    theirs = LogisticRegression(max_iter=5000, tol=1e-10).fit(ROWS.astype(np.float64), known)
    assert found == pytest.approx(theirs.predict_proba(ASKED.astype(np.float64)), abs=2e-3)


def test_rows_of_unknown_class_teach_nothing() -> None:
    known = classes_of(ROWS, 3)
    half = known.copy()
    half[::2] = -1
    assert raw_linear(ROWS, half, ASKED, classes=3) == pytest.approx(
        raw_linear(ROWS[1::2], known[1::2], ASKED, classes=3), abs=1e-12
    )


def test_a_class_without_rows_is_never_the_answer_and_one_class_alone_always() -> None:
    known = classes_of(ROWS, 2)
    assert set(raw_linear(ROWS, known, ASKED, classes=4).argmax(axis=1).tolist()) == {0, 1}
    alone = raw_linear(ROWS, np.full(400, 2), ASKED, classes=4)
    assert (alone.argmax(axis=1) == 2).all()
    assert alone.sum(axis=1) == pytest.approx(1.0)


def test_it_repeats_and_many_rows_are_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    known = classes_of(ROWS, 2)
    whole = raw_linear(ROWS, known, ASKED, classes=2)
    assert np.array_equal(whole, raw_linear(ROWS, known, ASKED, classes=2))
    monkeypatch.setattr(linear_controls, "MOST_GALLERY", 100)
    kept = np.sort(np.random.default_rng(linear_controls.SEED).choice(400, 100, replace=False))
    thin = raw_linear(ROWS, known, ASKED, classes=2)
    assert np.array_equal(thin, raw_linear(ROWS[kept], known[kept], ASKED, classes=2))
    assert not np.array_equal(thin, whole)


def test_wide_rows_and_many_classes_are_thinned_further(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    real = linear_controls.SparseSoftmax.fit
    monkeypatch.setattr(
        linear_controls.SparseSoftmax, "fit", lambda rows, *more: seen.append(rows.shape[0]) or real(rows, *more)
    )
    monkeypatch.setattr(linear_controls, "LEAST_ROWS", 50)
    monkeypatch.setattr(linear_controls, "MOST_WORK", 6 * 3 * 120)
    raw_linear(ROWS, classes_of(ROWS, 3), ASKED, classes=3)
    monkeypatch.setattr(linear_controls, "MOST_WORK", 1)
    raw_linear(ROWS, classes_of(ROWS, 3), ASKED, classes=3)
    assert seen == [120, 50]


def table(n: int) -> tuple[pa.Table, Schema, np.ndarray]:
    """Gaps in a number and a category; the class hangs on both, and on whether the number is there."""
    a, k = RNG.normal(size=n), RNG.choice(["x", "y", "z"], n)
    gap, nobody = RNG.random(n) < 0.3, RNG.random(n) < 0.2
    truth = np.where(gap, 1, a + 2.0 * (k == "x") * ~nobody > 0.8).astype(np.int64)
    rows = pa.table({"a": pa.array(np.where(gap, np.nan, a), from_pandas=True), "k": pa.array(k, mask=nobody)})
    columns = (Column("a", ColumnKind.NUMBER, nullable=True), Column("k", ColumnKind.CATEGORY, nullable=True))
    return rows, Schema(columns, ("a", "k"), None), truth


def test_gaps_and_categories_are_columns_of_their_own() -> None:
    rows, schema, truth = table(900)
    both = raw_matrix(rows, schema)
    right = raw_linear(both[:600], truth[:600], both[600:], classes=2).argmax(axis=1) == truth[600:]
    assert right.mean() > 0.95
    blind = both[:, :1]  # the number alone, its gaps at the mean
    assert (raw_linear(blind[:600], truth[:600], blind[600:], classes=2).argmax(axis=1) == truth[600:]).mean() < 0.8


def test_numbers_by_ridge() -> None:
    known = ROWS @ BEND[:, 0] * 3 + 40 + RNG.normal(size=400)
    theirs = Ridge().fit(ROWS.astype(np.float64), known).predict(ASKED.astype(np.float64))
    assert raw_linear_values(ROWS, known, ASKED) == pytest.approx(theirs, abs=1e-8)
    gaps = known.copy()
    gaps[:100] = np.nan
    assert raw_linear_values(ROWS, gaps, ASKED) == pytest.approx(raw_linear_values(ROWS[100:], known[100:], ASKED))


def test_labels_each_by_a_model_of_its_own() -> None:
    known = np.column_stack([classes_of(ROWS, 2) == 1, np.ones(400, bool), classes_of(ROWS, 2) == 0])
    found = raw_linear_sets(ROWS, known, ASKED)
    assert found[:, 0] == pytest.approx(raw_linear(ROWS, known[:, 0].astype(int), ASKED, classes=2)[:, 1])
    assert (found[:, 1] > 0.999).all()
    assert found.shape == (150, 3)


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (["NUMBER", "CATEGORY"], True),
        (["BOOLEAN", "TIME"], True),
        (["TIME"], False),
        (["IMAGE"], False),
        (["NUMBER", "TEXT"], False),
        (["VECTOR"], False),
    ],
)
def test_of_tables_alone(kinds: list[str], said: bool) -> None:
    columns = tuple(Column(f"c{i}", ColumnKind[kind], shape=(4,)) for i, kind in enumerate(kinds))
    assert of_a_table(Schema(columns, tuple(c.name for c in columns), None)) is said
