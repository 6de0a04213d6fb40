"""Steps before the last one: each made into a graph, or refused with its reason, and equal to scikit-learn."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.decomposition import NMF, PCA, FastICA, KernelPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import BaggingClassifier, GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - makes IterativeImputer importable
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import IterativeImputer, KNNImputer, MissingIndicator, SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.random_projection import GaussianRandomProjection
from sklearn.svm import SVC, LinearSVC

from backstay.bundle.inputs import arrays_for
from backstay.bundle.model import Model, Outputs, open_session
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.convert.fitted import Conversion, graph_of

X, Y = load_breast_cancer(return_X_y=True)
X = X[:240, :5]
Y = Y[:240]
NAMES = tuple(f"x{i}" for i in range(5))
SCHEMA = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in NAMES), NAMES)


def table(x: np.ndarray[Any, Any], names: tuple[str, ...] = NAMES) -> pa.Table:
    return pa.table({name: pa.array(x[:, i], from_pandas=True) for i, name in enumerate(names)})


def answers(found: Conversion, rows: pa.Table) -> Outputs:
    return Model(Path(), found.draft, open_session(found.content)).run(arrays_for(found.draft, rows))


def with_gaps() -> np.ndarray[Any, Any]:
    x = X.copy()
    x[np.random.default_rng(0).random(x.shape) < 0.1] = np.nan
    return x


STEPS: list[Any] = [
    make_pipeline(StandardScaler(), PCA(3, whiten=True)),
    make_pipeline(StandardScaler(), FastICA(3, random_state=0)),
    TruncatedSVD(3, random_state=0),
    LinearDiscriminantAnalysis(),
    SelectKBest(k=2),
    SelectFromModel(RandomForestClassifier(5, random_state=0)),
    RFE(RandomForestClassifier(5, random_state=0), n_features_to_select=2),
    VarianceThreshold(0.01),
    PolynomialFeatures(3, interaction_only=True),
    make_pipeline(MinMaxScaler(clip=True), PolynomialFeatures(2, include_bias=False)),
    Normalizer("max"),
    Binarizer(threshold=10.0),
    PowerTransformer(),
    PowerTransformer(method="box-cox", standardize=False),
    QuantileTransformer(n_quantiles=40),
    KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"),
    KBinsDiscretizer(3, encode="ordinal", strategy="uniform"),
    SplineTransformer(),
    make_pipeline(StandardScaler(), Nystroem(n_components=9, random_state=0)),
    make_pipeline(StandardScaler(), RBFSampler(n_components=9, random_state=0)),
    KMeans(4, n_init=1, random_state=0),
    GaussianRandomProjection(2, random_state=0),
    make_pipeline(StandardScaler(), KernelPCA(3, kernel="rbf")),
    FunctionTransformer(np.log1p),
    FeatureUnion([("a", StandardScaler()), ("b", FunctionTransformer(np.sqrt))], transformer_weights={"a": 2.0}),
    ColumnTransformer(
        [("a", PCA(2), [0, 1, 2]), ("b", FunctionTransformer(np.square), [3])],
        remainder="passthrough",
        transformer_weights={"a": 0.5},
    ),
    TargetEncoder(random_state=0),
]


@pytest.mark.parametrize(
    "step",
    [step if place % 4 == 0 else pytest.param(step, marks=pytest.mark.slow) for place, step in enumerate(STEPS)],
    ids=lambda step: str(step).replace("\n", "")[:60],
)
@pytest.mark.filterwarnings("ignore")
def test_a_step_makes_the_same_columns(step: Any) -> None:
    model = make_pipeline(step, StandardScaler(with_mean=False), LogisticRegression(max_iter=300)).fit(X[::2], Y[::2])
    found = graph_of(model, table(X[1::2]), SCHEMA)
    fresh = X[1::2] * 1.01
    np.testing.assert_allclose(answers(found, table(fresh)).scores, model.predict_proba(fresh), atol=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        IterativeImputer(max_iter=3, random_state=0),
        IterativeImputer(Ridge(), max_iter=2, initial_strategy="median", add_indicator=True),
        KNNImputer(n_neighbors=3, add_indicator=True),
        make_union(SimpleImputer(), MissingIndicator()),
    ],
    ids=["in turns", "marked", "neighbours", "indicator"],
)
@pytest.mark.filterwarnings("ignore")
def test_gaps_are_filled_alike(step: Any) -> None:
    x = with_gaps()
    model = make_pipeline(step, StandardScaler(), LogisticRegression()).fit(x[::2], Y[::2])
    found = graph_of(model, table(x[1::2]), SCHEMA)
    np.testing.assert_allclose(answers(found, table(x[1::2])).scores, model.predict_proba(x[1::2]), atol=1e-5)


def double(x: Any) -> Any:
    return 2 * x


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (FunctionTransformer(double), "Python function"),
        (NMF(2, init="nndsvda"), "nor skl2onnx can convert NMF"),
        (SplineTransformer(extrapolation="linear"), "extrapolation='linear'"),
        (QuantileTransformer(n_quantiles=20, output_distribution="normal"), "nor skl2onnx can convert"),
        (KNNImputer(missing_values=-1), "missing_values=-1"),
    ],
    ids=["function", "unknown", "option", "another option", "another mark"],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_not_converted_says_why_and_what_to_do(step: Any, said: str) -> None:
    model = make_pipeline(step, LogisticRegression()).fit(X, Y)
    with pytest.raises(BackstayError, match=said) as refused:
        graph_of(model, table(X), SCHEMA)
    assert refused.value.fix


AROUND: dict[str, Any] = {
    "chances of a support vector machine": SVC(probability=True, random_state=0),
    "isotonic": CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2),
    "temperature": CalibratedClassifierCV(LinearSVC(), method="temperature", cv=2),
    "frozen": CalibratedClassifierCV(FrozenEstimator(LogisticRegression(max_iter=300).fit(X, Y))),
    "bagged votes": BaggingClassifier(LinearSVC(), n_estimators=3, max_features=0.6, random_state=0),
    "soft": VotingClassifier([("a", GaussianNB()), ("b", RandomForestClassifier(3))], voting="soft", weights=[1, 3]),
    "exponential": GradientBoostingClassifier(loss="exponential", n_estimators=5),
    "huber": SGDClassifier(loss="modified_huber", random_state=0),
    "rest": OneVsRestClassifier(GaussianNB()),
    "search": GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [1.0, 2.0]}, cv=2),
    "manhattan": KNeighborsClassifier(metric="manhattan", weights="distance"),
    "cosine": KNeighborsClassifier(metric="cosine"),
    "one": OneVsOneClassifier(LinearSVC()),
}


OFTEN = ("chances of a support vector machine", "isotonic", "soft", "search")


@pytest.mark.parametrize("name", [n if n in OFTEN else pytest.param(n, marks=pytest.mark.slow) for n in AROUND])
@pytest.mark.filterwarnings("ignore")
def test_estimators_around_others(name: str) -> None:
    model = AROUND[name].fit(X[::2], Y[::2])
    found = graph_of(model, table(X[1::2]), SCHEMA)
    said = answers(found, table(X[1::2]))
    assert said.labels.tolist() == [str(v) for v in model.predict(X[1::2])]
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(said.scores, model.predict_proba(X[1::2]), atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        {"func": np.log1p, "inverse_func": np.expm1},
        {"transformer": PowerTransformer()},
        {"transformer": PowerTransformer(method="box-cox", standardize=False)},
        {"transformer": MinMaxScaler()},
    ],
    ids=["logarithm", "power", "box-cox", "range"],
)
def test_a_transformed_target_is_answered_in_its_unit(change: dict[str, Any]) -> None:
    x, y = load_diabetes(return_X_y=True)
    names = tuple(f"x{i}" for i in range(10))
    schema = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in names), names)
    model = TransformedTargetRegressor(Ridge(), **change).fit(x[::2], y[::2])
    found = graph_of(model, table(x[1::2], names), schema, task="regression")
    np.testing.assert_allclose(answers(found, table(x[1::2], names)).numbers, model.predict(x[1::2]), rtol=1e-6)


def test_a_column_of_vectors_is_read_whole() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 6)).astype(np.float32)
    truth = np.where(vectors[:, 0] + vectors[:, 1] > 0, "yes", "no")
    rows = pa.table({"vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 6)})
    schema = Schema((Column("vector", ColumnKind.VECTOR, shape=(6,)),), ("vector",))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make_pipeline(StandardScaler(), SVC()).fit(vectors, truth)
        found = graph_of(model, rows, schema)
    assert answers(found, rows).labels.tolist() == model.predict(vectors).tolist()
    with pytest.raises(BackstayError, match="fitted on 3 columns"):
        graph_of(LogisticRegression().fit(vectors[:, :3], truth), rows, schema)
