"""Fitted scikit-learn models as graphs: the same answers, at thresholds, at gaps and at what nobody has seen."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    RobustScaler,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from backstay.bundle.inputs import arrays_for
from backstay.bundle.model import Model, open_session
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train import bring
from backstay.train.convert import transformers
from backstay.train.convert.fitted import graph_of

NUMBERS = ("x0", "x1", "x2")
PLAIN = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in NUMBERS), NUMBERS)
ROWS = 400
TREES = [
    DecisionTreeClassifier(max_depth=6),
    DecisionTreeClassifier(max_depth=1, min_samples_leaf=200),
    ExtraTreeClassifier(max_depth=8),
    RandomForestClassifier(7, max_depth=6),
    ExtraTreesClassifier(5),
    HistGradientBoostingClassifier(max_iter=9, min_samples_leaf=5),
]


def numbers(rng: np.random.Generator, rows: int, gaps: float) -> np.ndarray[Any, Any]:
    """Few distinct values, so that many lie on a threshold's side by equality; some are missing."""
    x = np.column_stack([rng.integers(-4, 5, rows) / 3, rng.normal(size=rows), rng.normal(size=rows).round(1)])
    x[rng.random(x.shape) < gaps] = np.nan
    return x


def classes_of(x: np.ndarray[Any, Any], count: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    z = np.nan_to_num(x)
    return np.clip(np.rint(z[:, 0] + z[:, 1] * z[:, 2] + rng.normal(size=len(z)) * 0.4 + count / 2), 0, count - 1)


def as_table(x: np.ndarray[Any, Any]) -> pa.Table:
    return pa.table({name: pa.array(x[:, i], from_pandas=True) for i, name in enumerate(NUMBERS)})


def answered(content: bytes, draft: Any, table: pa.Table) -> np.ndarray[Any, Any]:
    scores = Model(Path(), draft, open_session(content)).run(arrays_for(draft, table)).scores
    assert scores is not None
    return scores


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31), model=st.sampled_from(TREES), count=st.integers(2, 4), gaps=st.sampled_from([0.0, 0.2])
)
def test_trees_answer_alike_at_thresholds_and_gaps(seed: int, model: Any, count: int, gaps: float) -> None:
    rng = np.random.default_rng(seed)
    x = numbers(rng, ROWS, gaps)
    y = classes_of(x, count, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = type(model)(**{**model.get_params(), "random_state": seed % 1000}).fit(x, y)
    found = graph_of(model, as_table(x), PLAIN)
    content, draft = found.content, found.draft
    thresholds = thresholds_of(model)
    at = np.full((len(thresholds), 3), np.nan)
    for row, (feature, value) in enumerate(thresholds):
        at[row] = x[row % ROWS]
        at[row, feature] = value
    beside = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), np.full((1, 3), np.nan)])
    if gaps == 0 and not isinstance(model, HistGradientBoostingClassifier):
        beside = beside[:-1]  # scikit-learn refuses what is missing where it has never been
    np.testing.assert_allclose(answered(content, draft, as_table(beside)), model.predict_proba(beside), atol=1e-6)
    assert draft.classes == tuple(str(int(c)) for c in model.classes_)


def thresholds_of(model: Any) -> list[tuple[int, float]]:
    """Feature and threshold of each question; that of "is it missing?" is infinite and left out."""
    if isinstance(model, HistGradientBoostingClassifier):
        nodes = [n for step in model._predictors for p in step for n in p.nodes if not n["is_leaf"]]
        found = [(int(n["feature_idx"]), float(n["num_threshold"])) for n in nodes]
    else:
        trees = [tree.tree_ for tree in getattr(model, "estimators_", [model])]
        pairs = [pair for tree in trees for pair in zip(tree.feature, tree.threshold, strict=True)]
        found = [(int(feature), float(threshold)) for feature, threshold in pairs if feature >= 0]
    return [(feature, threshold) for feature, threshold in found if np.isfinite(threshold)]


CUSTOMERS = Schema(
    (
        Column("tenure", ColumnKind.NUMBER),
        Column("calls", ColumnKind.INTEGER),
        Column("plan", ColumnKind.CATEGORY),
        Column("town", ColumnKind.CATEGORY),
        Column("new", ColumnKind.BOOLEAN),
    ),
    ("tenure", "calls", "plan", "town", "new"),
)


def customers(rows: int = 500, seed: int = 0) -> tuple[pa.Table, pd.DataFrame, np.ndarray[Any, Any]]:
    """The same customers as Backstay reads them and as their model was fitted on them."""
    rng = np.random.default_rng(seed)
    tenure = np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows) * 10)
    calls, plan = rng.integers(0, 4, rows), rng.choice(["a", "b", "ü"], rows)
    town = np.where(rng.random(rows) < 0.1, None, rng.choice([f"t{i}" for i in range(12)], rows))
    new = rng.random(rows) < 0.5
    y = np.where(
        np.nan_to_num(tenure) / 10 + (plan == "a") - (town == "t1") + rng.normal(size=rows) * 0.3 > 0.3, "go", "stay"
    )
    table = pa.table(
        {
            "tenure": pa.array(tenure, from_pandas=True),
            "calls": calls,
            "plan": plan.tolist(),
            "town": town.tolist(),
            "new": new,
        }
    )
    frame = pd.DataFrame(
        {
            "tenure": tenure,
            "calls": calls.astype(float),
            "plan": plan.astype(object),
            "town": [np.nan if t is None else t for t in town],
            "new": new.astype(float),
        }
    ).astype({"town": object})
    return table, frame, y


def with_columns(*last: Any, numeric: Any = None, text: Any = None) -> Pipeline:
    numeric = numeric or make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    text = text or OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("n", numeric, ["tenure", "calls"]), ("t", text, ["plan", "town"])], remainder="passthrough"
    )
    return make_pipeline(columns, *last)


PIPELINES = {
    "logistic": with_columns(LogisticRegression()),
    "forest": with_columns(RandomForestClassifier(9, random_state=0)),
    "scalers": with_columns(
        LogisticRegression(),
        numeric=make_pipeline(SimpleImputer(strategy="median"), RobustScaler(), MinMaxScaler(), MaxAbsScaler()),
    ),
    "filled text": with_columns(
        DecisionTreeClassifier(max_depth=7, random_state=0),
        text=make_pipeline(
            SimpleImputer(strategy="most_frequent"),
            OneHotEncoder(handle_unknown="ignore", drop="first", sparse_output=False),
        ),
    ),
    "grouped": with_columns(
        LogisticRegression(),
        text=OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=50, drop="if_binary"),
    ),
    "ordinal": with_columns(
        HistGradientBoostingClassifier(max_iter=12, min_samples_leaf=5),
        numeric="passthrough",
        text=OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    ),
    "ordinal missing": with_columns(
        DecisionTreeClassifier(max_depth=6, random_state=0),
        numeric=SimpleImputer(),
        text=OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, min_frequency=30
        ),
    ),
    "numbers as categories": make_pipeline(
        ColumnTransformer(
            [
                ("c", OneHotEncoder(handle_unknown="ignore"), ["calls", "new"]),
                ("s", make_pipeline(SimpleImputer(), FunctionTransformer()), make_column_selector("tenure")),
            ],
        ),
        None,
        LogisticRegression(),
    ),
    "boosting on categories": HistGradientBoostingClassifier(
        max_iter=15, min_samples_leaf=5, categorical_features=["plan", "calls", "town"]
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_answer_alike(name: str) -> None:
    table, frame, y = customers()
    model = clone(PIPELINES[name]).fit(frame, y)
    found = graph_of(model, table, CUSTOMERS)
    content, draft = found.content, found.draft
    fresh, asked, _ = customers(300, seed=9)
    np.testing.assert_allclose(answered(content, draft, fresh), model.predict_proba(asked), atol=1e-6)
    assert draft.classes == ("go", "stay")
    # What no step of the columns reads is not asked for.
    read = None if name == "numbers as categories" else "BYTES"
    assert {i.name: i.datatype for i in draft.inputs}.get("plan") == read


@pytest.mark.parametrize("name", ["logistic", "boosting on categories"])
def test_none_is_missing_where_the_model_learned_it_so(name: str) -> None:
    table, frame, y = customers()
    town = pd.Series([None if t != t else t for t in frame["town"]], dtype=object)
    model = clone(PIPELINES[name]).fit(frame.assign(town=town, new=frame["new"] > 0), y)
    found = graph_of(model, table, CUSTOMERS)
    content, draft = found.content, found.draft
    asked = frame.assign(town=town)
    np.testing.assert_allclose(answered(content, draft, table), model.predict_proba(asked), atol=1e-6)


def test_an_encoder_that_raises_at_the_unknown_is_refused_and_told_how() -> None:
    table, frame, y = customers()
    model = with_columns(LogisticRegression(), text=OneHotEncoder()).fit(frame, y)
    with pytest.raises(BackstayError, match="does not know") as caught:
        graph_of(model, table, CUSTOMERS)
    assert 'handle_unknown="ignore"' in caught.value.fix
    model.named_steps["columntransformer"].named_transformers_["t"].set_params(handle_unknown="ignore")
    graph_of(model, table, CUSTOMERS)


def test_parts_without_a_translation_are_refused() -> None:
    table, frame, y = customers()
    with pytest.raises(BackstayError, match="can convert _Own"):
        graph_of(with_columns(_Own()).fit(frame, y), table, CUSTOMERS)
    double = make_pipeline(SimpleImputer(), FunctionTransformer(_doubled), LogisticRegression())
    x = np.abs(numbers(np.random.default_rng(0), 50, 0))
    with pytest.raises(BackstayError, match="Python function"):
        graph_of(double.fit(x, np.arange(50) % 2), as_table(x), PLAIN)


def _doubled(x: Any) -> Any:
    return 2 * x


class _Own(LogisticRegression):
    """Somebody's own class: what it does is not known by its parents."""


def test_other_columns_are_refused() -> None:
    table, frame, y = customers()
    model = clone(PIPELINES["logistic"]).fit(frame, y)
    narrower = Schema(CUSTOMERS.columns, ("tenure", "calls", "plan", "new"))
    with pytest.raises(BackstayError, match="'town'"):
        graph_of(model, table, narrower)
    x = numbers(np.random.default_rng(0), 50, 0)
    with pytest.raises(BackstayError, match="fitted on 2 columns"):
        graph_of(LogisticRegression().fit(x[:, :2], np.arange(50) % 2), as_table(x), PLAIN)
    with pytest.raises(BackstayError, match="has no classes_"):
        graph_of(LogisticRegression(), as_table(x), PLAIN)


def test_a_graph_that_differs_is_refused_with_its_worst_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table whose unseen row is wrong: only planted rows can show it."""
    honest = transformers._ask

    def astray(*given: Any) -> Any:
        table = honest(*given)
        table[-1] += 1.0
        return table

    monkeypatch.setattr(transformers, "_ask", astray)
    table, frame, y = customers()
    with pytest.raises(BackstayError, match=r"worst in row .*nobody has seen"):
        graph_of(clone(PIPELINES["logistic"]).fit(frame, y), table, CUSTOMERS)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        GradientBoostingClassifier(n_estimators=3),
        VotingClassifier([("a", DecisionTreeClassifier()), ("b", GradientBoostingClassifier(n_estimators=3))]),
    ],
    ids=["linear", "boosted", "votes"],
)
def test_a_row_that_the_model_would_refuse_gets_no_class(model: Any) -> None:
    """scikit-learn raises at NaN here; a graph cannot, and must not name a class either."""
    x = numbers(np.random.default_rng(0), 80, 0)
    found = graph_of(model.fit(x, np.arange(80) % 2), as_table(x), PLAIN)
    gap = as_table(np.array([[np.nan, 0, 0], [0.0, 0, 0], [0.0, 0, np.nan]]))
    answer = Model(Path(), found.draft, open_session(found.content)).run(arrays_for(found.draft, gap))
    assert [label in ("0", "1") for label in answer.labels] == [False, True, False]
    assert answer.labels.tolist()[0] == ""
    if answer.scores is not None:
        assert np.isnan(answer.scores).any(axis=1).tolist() == [True, False, True]


def test_only_the_gaps_that_the_model_refuses_get_no_answer() -> None:
    """One column has an imputer, the other has none; the trees' graph would answer both."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 2))
    parts = ColumnTransformer([("filled", SimpleImputer(), [0])], remainder="passthrough")
    model = make_pipeline(parts, GradientBoostingRegressor(n_estimators=5)).fit(x, x[:, 0])
    schema = Schema(PLAIN.columns[:2], NUMBERS[:2])
    rows = pa.table({"x0": [None, 0.0, 1.0], "x1": [0.5, None, 0.5]})
    found = graph_of(model, pa.table({"x0": x[:, 0], "x1": x[:, 1]}), schema, task="regression")
    answer = Model(Path(), found.draft, open_session(found.content)).run(arrays_for(found.draft, rows))
    assert answer.numbers is not None
    assert np.isnan(answer.numbers).tolist() == [False, True, False]


LASTS = [
    GaussianNB(),
    MLPClassifier((8,), max_iter=30, random_state=0),
]
STEPS = [PCA(2), MaxAbsScaler(), MinMaxScaler(), RobustScaler(), StandardScaler()]


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("model", [*LASTS, *(make_pipeline(step, GaussianNB()) for step in STEPS)], ids=str)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_parts_answer_alike(model: Any, count: int) -> None:
    rng = np.random.default_rng(4)
    x = numbers(rng, 300, 0)
    y = classes_of(x, count, rng).astype(int)
    found = bring.graph_of(model.fit(x, y), as_table(x), PLAIN, classes=())
    content, draft = found.content, found.draft
    assert draft.inputs[0].adapter == "column"
    fresh = numbers(rng, 100, 0)
    np.testing.assert_allclose(answered(content, draft, as_table(fresh)), model.predict_proba(fresh), atol=1e-6)


def test_something_else_is_refused() -> None:
    x = as_table(numbers(np.random.default_rng(0), 60, 0))
    with pytest.raises(BackstayError, match="neither an ONNX file"):
        bring.graph_of({"weights": 1}, x, PLAIN, classes=())
    with pytest.raises(BackstayError, match="for torch modules"):
        bring.graph_of(GaussianNB(), x, PLAIN, classes=(), outputs=("scores",))
