"""The guard before anything is kept: a graph that differs from its model is refused, wherever it differs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import KNNImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.convert import comparison, foreign, kernels, linear, made_up, shelf
from backstay.train.convert.fitted import graph_of
from backstay.train.convert.levels import level

NAMES = ("x0", "x1", "x2")
SCHEMA = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in NAMES), NAMES)


def rows(n: int = 240, gaps: float = 0.0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 3))
    y = np.digitize(x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=n) * 0.2, [-0.5, 0.5])
    x[rng.random(x.shape) < gaps] = np.nan
    return x, y


def table(x: np.ndarray[Any, Any]) -> pa.Table:
    return pa.table({name: pa.array(x[:, i], from_pandas=True) for i, name in enumerate(NAMES)})


def unwritten(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As if our own exporter did not know this class: skl2onnx is asked."""
    for where in ("CLASSIFIERS", "OF_BLOCKS"):
        known: Mapping[str, str] = getattr(shelf, where)
        monkeypatch.setattr(shelf, where, {k: v for k, v in known.items() if k != name})


@pytest.mark.parametrize(
    ("model", "gaps", "said"),
    [
        (LinearDiscriminantAnalysis(), 0.0, r"in \d+ of 240 rows .* went through skl2onnx"),
        (DecisionTreeClassifier(max_depth=5, random_state=0), 0.2, "holds trees"),
        (RandomForestClassifier(5, max_depth=5, random_state=0), 0.2, "holds trees"),
        (HistGradientBoostingClassifier(max_iter=5), 0.0, "nor skl2onnx can convert"),
    ],
    ids=["linear discriminant", "tree with gaps", "forest with gaps", "histogram boosting"],
)
def test_where_skl2onnx_is_wrong_its_graph_is_refused(
    monkeypatch: pytest.MonkeyPatch, model: Any, gaps: float, said: str
) -> None:
    """Each of these is written by our own exporter, and is right."""
    x, y = rows(gaps=gaps)
    model.fit(x, y > 0)
    assert graph_of(model, table(x), SCHEMA).compared is not None
    unwritten(monkeypatch, type(model).__name__)
    with pytest.raises(BackstayError, match=said) as refused:
        graph_of(model, table(x), SCHEMA)
    assert refused.value.fix


def test_a_part_by_skl2onnx_is_named_in_the_manifest() -> None:
    x, y = rows(60)
    found = graph_of(GaussianProcessRegressor(optimizer=None).fit(x, y), table(x), SCHEMA, task="regression")
    assert found.draft.recipe["converted_by_skl2onnx"] == ["GaussianProcessRegressor"]
    assert "skl2onnx" in found.draft.versions
    plain = graph_of(Ridge().fit(x, y), table(x), SCHEMA, task="regression")
    assert "skl2onnx" not in plain.draft.versions


def test_without_skl2onnx_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "find_spec", lambda _: None)
    x, y = rows(60)
    with pytest.raises(BackstayError) as refused:
        graph_of(GaussianProcessRegressor(optimizer=None).fit(x, y), table(x), SCHEMA, task="regression")
    assert "backstay[fitting]" in refused.value.fix


def test_the_message_says_in_how_many_rows_by_how_much_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    right = linear.weighted

    def off_for_some(graph: Any, model: Any, matrix: str) -> str:
        """Wrong by 0.001 where the first column is above 2."""
        over = graph.double(graph.op("Greater", graph.columns(matrix, [0]), graph.number(2.0)))
        return graph.op("Add", right(graph, model, matrix), graph.op("Mul", over, graph.number(0.001)))

    monkeypatch.setattr(linear, "weighted", off_for_some)
    x, y = rows()
    with pytest.raises(BackstayError) as refused:
        graph_of(Ridge().fit(x, y), table(x), SCHEMA, task="regression")
    many = int(np.sum(x[:, 0] > 2))
    assert f"differs from Ridge in {many} of {len(x)} rows (the reference rows)" in refused.value.what
    assert "allowed is 1e-05; worst in row" in refused.value.what
    assert "nothing was kept" in refused.value.fix


@pytest.mark.parametrize(
    ("where", "said"),
    [(9.0, "far beyond"), (3.07, "between and beside|far beyond")],
)
def test_what_differs_only_beyond_the_reference_rows_is_found(
    monkeypatch: pytest.MonkeyPatch, where: float, said: str
) -> None:
    right = linear.weighted

    def off_beyond(graph: Any, model: Any, matrix: str) -> str:
        over = graph.double(graph.op("Greater", graph.columns(matrix, [0]), graph.number(where)))
        return graph.op("Add", right(graph, model, matrix), over)

    monkeypatch.setattr(linear, "weighted", off_beyond)
    x, y = rows()
    assert x[:, 0].max() < where
    with pytest.raises(BackstayError, match=said):
        graph_of(Ridge().fit(x, y), table(x), SCHEMA, task="regression")


def test_a_threshold_moved_to_the_next_value_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree that asks "less" for "at most" differs only where a value lies on the threshold: between two others."""
    from backstay.train.convert import trees

    right = trees.of_tree

    def moved(tree: Any, first: int) -> Any:
        nodes, leaves = right(tree, first)
        return [
            trees.Split(n.feature, n.yes, n.no, float(np.nextafter(np.float32(n.threshold), np.float32(-9e9))))
            if isinstance(n, trees.Split)
            else n
            for n in nodes
        ], leaves

    x, y = rows()
    x = np.array([0.1, 1.0, 2.5, 4.7, 8.3, 13.1])[np.digitize(x, [-1.5, -0.7, 0.0, 0.7, 1.5])]
    model = DecisionTreeClassifier(max_depth=6, random_state=0).fit(x, y)
    graph_of(model, table(x), SCHEMA)
    monkeypatch.setattr("backstay.train.convert.classifiers.of_tree", moved)
    with pytest.raises(BackstayError, match="between and beside"):
        graph_of(model, table(x), SCHEMA)


def test_a_wrong_class_with_right_scores_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The votes of an SVC are not its highest decision; where they tie, the first class is answered."""
    right = kernels._preferred
    monkeypatch.setattr(kernels, "_preferred", lambda g, p, c, _: (right(g, p, c, False)[0], right(g, p, c, True)[1]))
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3))
    y = rng.integers(0, 5, 400)
    model = SVC(gamma=0.1).fit(x, y)
    with pytest.raises(BackstayError, match="another class"):
        graph_of(model, table(x), SCHEMA)


def test_rows_are_made_up_around_few() -> None:
    x, _ = rows(7)
    found = dict(made_up.asked(table(x)))
    assert {kind for kind, given in found.items() if given.num_rows >= 1000} >= {
        "values of the reference rows, mixed",
        "values between and beside those",
        "values far beyond those",
    }
    mixed = found["values of the reference rows, mixed"]["x0"].to_numpy()
    assert set(mixed.tolist()) <= set(x[:, 0].tolist())
    ordered = np.unique(x[:, 0])
    between = found["values between and beside those"]["x0"].to_numpy()
    assert set(((ordered[1:] + ordered[:-1]) / 2).tolist()) & set(between.tolist())
    assert np.nextafter(ordered[0], np.inf) in between or np.nextafter(ordered[0], -np.inf) in between
    far = found["values far beyond those"]["x0"].to_numpy()
    assert far.max() > x[:, 0].max() + 9 * np.ptp(x[:, 0])
    assert [given.num_rows for kind, given in made_up.asked(table(x)) if kind == "a row on its own"] == [1, 1, 1]


def test_whole_numbers_stay_whole() -> None:
    given = pa.table({"count": [1, 2, 5, None], "plan": ["a", "b", None, "a"]})
    for kind, made in made_up.asked(given):
        counts = [v for v in made["count"].to_pylist() if v is not None]
        assert all(v == round(v) for v in counts), kind
    assert any("never" in kind or "unseen" in kind for kind, _ in made_up.asked(given))


def test_rows_that_the_model_refuses_are_left_out_one_by_one() -> None:
    """An encoder that raises beyond its values answers the other rows."""
    x, y = rows()
    x = np.abs(np.rint(x)).clip(0, 2)
    coded = OrdinalEncoder(handle_unknown="error")
    model = make_pipeline(coded, LogisticRegression()).fit(x, y)
    with pytest.raises(BackstayError, match="does not know"):
        graph_of(model, table(x), SCHEMA)
    coded.set_params(handle_unknown="use_encoded_value", unknown_value=-1)
    compared = graph_of(model, table(x), SCHEMA).compared
    assert compared is not None
    assert compared.rows > 5000


def test_too_few_comparable_rows_are_too_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of neighbours that are all equally near nobody can say which is right."""
    x, y = rows()
    x = np.repeat(np.rint(x[:24]), 10, axis=0)
    model = KNeighborsClassifier(5).fit(x, y)
    with pytest.raises(BackstayError, match="too few to compare") as refused:
        graph_of(model, table(x), SCHEMA)
    assert "1000" in refused.value.fix


def test_level_neighbours_are_seen_through_a_pipeline() -> None:
    x = np.array([[0.0], [1.0], [2.0], [9.0]])
    model = make_pipeline(StandardScaler(), KNeighborsClassifier(2)).fit(x, [0, 0, 1, 1])
    found = level(model, np.array([[1.0], [0.4]]))
    assert found is not None
    assert found.tolist() == [True, False]
    assert level(LogisticRegression(), x) is None


def test_level_donors_are_seen_by_columns() -> None:
    x = np.array([[0.0, 1.0], [2.0, 5.0], [9.0, 3.0]])
    parts = ColumnTransformer([("a", make_pipeline(KNNImputer(n_neighbors=1), StandardScaler()), [0, 1])])
    model = make_pipeline(parts, Ridge()).fit(x, [0, 1, 2])
    found = level(model, np.array([[1.0, np.nan], [0.5, np.nan], [1.0, 2.0]]))
    assert found is not None
    assert found.tolist() == [True, False, False]


def test_an_object_of_another_version_is_refused_plainly() -> None:
    x, y = rows()
    model = LinearDiscriminantAnalysis().fit(x, y)
    del model.intercept_
    with pytest.raises(BackstayError, match=r"fails on the reference rows|laid out in a way"):
        graph_of(model, table(x), SCHEMA)
    boosted = HistGradientBoostingClassifier(max_iter=3).fit(x, y)
    predictors = boosted._predictors
    boosted._predictors = [[object()] * 3]
    with pytest.raises(BackstayError, match="laid out in a way"):
        graph_of(boosted, table(x), SCHEMA)
    boosted._predictors = predictors


def test_categories_never_seen_are_asked_about() -> None:
    frame = pd.DataFrame({"plan": np.array(["a", "b"] * 60, dtype=object)})
    coded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = make_pipeline(coded, DecisionTreeClassifier()).fit(frame, [0, 1] * 60)
    schema = Schema((Column("plan", ColumnKind.CATEGORY),), ("plan",))
    compared = graph_of(model, pa.Table.from_pandas(frame), schema).compared
    assert isinstance(compared, comparison.Compared)
    assert compared.rows > 5000
