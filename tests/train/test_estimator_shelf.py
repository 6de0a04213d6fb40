"""Every classifier and regressor of scikit-learn, fitted with fixed settings: taken, and then equal to itself on fresh
rows through ONNX Runtime; or refused, with a reason. What docs/own_model.md says of each is what is found here."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

from backstay.bundle.inputs import arrays_for
from backstay.bundle.model import Model, Outputs, label_texts, open_session
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train.convert.asking import scale_of, softened
from backstay.train.convert.fitted import Conversion, graph_of

PAGE = Path(__file__).parents[2] / "docs" / "own_model.md"
CLASSIFIERS = {name for name, _ in all_estimators(type_filter="classifier")}
REGRESSORS = {name for name, _ in all_estimators(type_filter="regressor")}
TWO_CLASSES = {"FixedThresholdClassifier", "TunedThresholdClassifierCV", "RidgeClassifier"}
COUNTS = {"CategoricalNB", "ComplementNB", "MultinomialNB"}
SEVERAL = {
    "ClassifierChain",
    "MultiOutputClassifier",
    "MultiOutputRegressor",
    "MultiTaskElasticNet",
    "MultiTaskElasticNetCV",
    "MultiTaskLasso",
    "MultiTaskLassoCV",
    "RegressorChain",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "CCA": {"n_components": 1},
    "CategoricalNB": {"min_categories": 12},
    "MLPClassifier": {"hidden_layer_sizes": (8,), "max_iter": 60},
    "MLPRegressor": {"hidden_layer_sizes": (8,), "max_iter": 60},
    "PLSCanonical": {"n_components": 1},
    "RadiusNeighborsRegressor": {"radius": 5.0},
}
UNLIMITED = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor", "OrthogonalMatchingPursuitCV"}
QUICK = (
    "CalibratedClassifierCV",
    "KNeighborsClassifier",
    "LinearDiscriminantAnalysis",
    "QuadraticDiscriminantAnalysis",
    "RidgeClassifier",
    "SVC",
    "VotingClassifier",
    "GaussianProcessRegressor",
    "GradientBoostingRegressor",
    "PoissonRegressor",
    "SVR",
)
QUICKLY_REFUSED = ("GaussianProcessClassifier", "MultiOutputClassifier", "MultiTaskLasso")


def rows_of(name: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    if name in REGRESSORS:
        x, y = load_diabetes(return_X_y=True)
        x = x[:, 2:3] if name == "IsotonicRegression" else x
    elif name in TWO_CLASSES:
        x, y = load_breast_cancer(return_X_y=True)
        x = x[:, :6]
    else:
        x, y = load_iris(return_X_y=True)
    if name in COUNTS:
        x = np.rint(x)
    return (x, np.column_stack([y > np.median(y), y % 2 == 0]).astype(int)) if name in SEVERAL else (x, y)


def made(name: str) -> Any:
    """The estimator with its defaults, few rounds where that is slow, and simple ones inside where it needs some."""
    kind = dict(all_estimators())[name]
    simple: Any = Ridge() if name in REGRESSORS else LogisticRegression(max_iter=400)
    given: dict[str, Any] = dict(SETTINGS.get(name, {}))
    known = inspect.signature(kind).parameters
    if "estimators" in known:
        other: Any = Ridge(9.0) if name in REGRESSORS else LogisticRegression(C=0.1, max_iter=400)
        given["estimators"] = [("a", simple), ("b", other)]
    elif "estimator" in known and name not in ("AdaBoostClassifier", "AdaBoostRegressor", "RANSACRegressor"):
        given["estimator"] = simple
    for option, value in (("random_state", 0), ("n_estimators", 12), ("max_iter", 400)):
        if option in known and option not in given and not (option == "max_iter" and name in UNLIMITED):
            given[option] = value
    model = kind(**given)
    if name == "RadiusNeighborsClassifier":
        return make_pipeline(StandardScaler(), RadiusNeighborsClassifier(3.0))
    return model


def table(x: np.ndarray[Any, Any]) -> pa.Table:
    return pa.table({f"x{i}": x[:, i] for i in range(x.shape[1])})


def schema(x: np.ndarray[Any, Any]) -> Schema:
    names = tuple(f"x{i}" for i in range(x.shape[1]))
    return Schema(tuple(Column(name, ColumnKind.NUMBER) for name in names), names)


def answers(found: Conversion, x: np.ndarray[Any, Any]) -> Outputs:
    return Model(Path(), found.draft, open_session(found.content)).run(arrays_for(found.draft, table(x)))


def check(name: str) -> Any:
    """Fit it on a third of the rows, convert it on a third, and compare on the last. BackstayError if refused."""
    x, y = rows_of(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = made(name).fit(x[::3], y[::3])
    task = "regression" if name in REGRESSORS else "classification"
    found = graph_of(model, table(x[1::3]), schema(x), task=task)
    assert found.compared is not None
    assert found.compared.rows >= 1000
    fresh = x[2::3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name == "RadiusNeighborsClassifier":
            near = model[-1].radius_neighbors(model[0].transform(fresh), return_distance=False)
            fresh = fresh[[len(some) > 0 for some in near]]
        said, wanted = answers(found, fresh), model.predict(fresh)
        if task == "regression":
            assert said.numbers is not None
            np.testing.assert_allclose(said.numbers, np.ravel(wanted), rtol=1e-5)
            return found
        assert said.labels.tolist() == label_texts(wanted, ()).tolist()
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(said.scores, model.predict_proba(fresh), atol=1e-5)
        elif "scores" in found.draft.recipe:
            scale = scale_of(model.decision_function(x[1::3]))
            np.testing.assert_allclose(said.scores, softened(model.decision_function(fresh), scale), atol=1e-5)
        else:
            assert said.scores is None
    return found


def listed(heading: str) -> set[str]:
    """Names that the page lists behind a word in bold."""
    found = re.search(rf"\*\*{heading}\*\*:(.*?)\n\n", PAGE.read_text() + "\n\n", re.DOTALL)
    assert found is not None, heading
    return set(re.findall(r"`(\w+)`", found.group(1)))


@pytest.mark.parametrize("name", QUICK)
def test_it_is_taken_and_answers_alike(name: str) -> None:
    check(name)
    assert name in listed("Classifiers") | listed("Regressors")


@pytest.mark.parametrize("name", QUICKLY_REFUSED)
def test_it_is_refused_and_listed_so(name: str) -> None:
    with pytest.raises(BackstayError):
        check(name)
    assert name in listed("Refused")


def test_the_page_names_each_estimator_once() -> None:
    taken, refused = (listed("Classifiers"), listed("Regressors")), listed("Refused")
    assert taken[0] | taken[1] | refused >= CLASSIFIERS | REGRESSORS
    assert not (taken[0] | taken[1]) & refused


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CLASSIFIERS | REGRESSORS))
def test_what_the_page_says_of_each_is_so(name: str) -> None:
    if name in listed("Refused"):
        with pytest.raises(BackstayError) as refused:
            check(name)
        assert refused.value.fix
    else:
        check(name)


@pytest.mark.parametrize("name", ["LinearSVC", "SGDClassifier"])
def test_scores_of_a_decision_say_that_they_are_no_chances(name: str) -> None:
    found = check(name)
    assert "not chances" in found.draft.recipe["scores"]
    x, _ = rows_of(name)
    scores = answers(found, x[2::3]).scores
    assert scores is not None
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-5)
    assert np.quantile(scores.max(axis=1), 0.5) < 0.9999
