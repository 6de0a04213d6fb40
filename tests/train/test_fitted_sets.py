"""Fitted scikit-learn models that answer sets of labels: the same sets and scores, label by label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from backstay.bundle.model import Model, Outputs, open_session
from backstay.bundle.tokens import tokens_in
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train import bring
from backstay.train.convert.fitted import Conversion

LABELS = ("big", "cold", "odd")
NAMES = ("x0", "x1", "x2")
SCHEMA = Schema(tuple(Column(n, ColumnKind.NUMBER) for n in NAMES), NAMES)


def rows(n: int = 240, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x, np.column_stack([x[:, 0] > 0.3, x[:, 1] + x[:, 2] > 0, x[:, 0] * x[:, 1] > 0]).astype(int)


def table(x: np.ndarray[Any, Any]) -> pa.Table:
    return pa.table({name: x[:, i] for i, name in enumerate(NAMES)})


def taken(model: Any, given: pa.Table, schema: Schema = SCHEMA, **more: Any) -> Conversion:
    return bring.graph_of(model, given, schema, classes=LABELS, task="multilabel", **more)


def answers(found: Conversion, given: pa.Table) -> Outputs:
    return Model(Path(), found.draft, open_session(found.content), tokens_in(found.files)).predict(given)


MODELS: dict[str, Any] = {
    "chances": OneVsRestClassifier(LogisticRegression()),
    "decisions": make_pipeline(StandardScaler(), OneVsRestClassifier(SVC())),
    "an output each": MultiOutputClassifier(GradientBoostingClassifier(n_estimators=8)),
    "search": GridSearchCV(OneVsRestClassifier(LinearSVC()), {"estimator__C": [0.5, 1.0]}, cv=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_sets_are_answered_alike(name: str) -> None:
    x, y = rows()
    model = MODELS[name].fit(x, y)
    found = taken(model, table(x))
    fresh, _ = rows(120, 5)
    said = answers(found, table(fresh))
    assert said.members is not None
    assert said.members.astype(int).tolist() == np.asarray(model.predict(fresh)).tolist()
    assert found.draft.classes == LABELS
    assert ("scores" in found.draft.recipe) is (name in ("decisions", "search"))
    if name == "chances":
        np.testing.assert_allclose(said.scores, model.predict_proba(fresh), atol=1e-6)


def test_the_order_of_the_labels_may_be_said() -> None:
    x, y = rows()
    model = OneVsRestClassifier(LogisticRegression()).fit(x, y)
    turned = taken(model, table(x), order=("odd", "cold", "big"))
    assert turned.draft.classes == ("odd", "cold", "big")
    with pytest.raises(BackstayError, match="the label 'big'"):
        taken(model, table(x), order=("odd", "cold", "warm"))


def test_sets_of_texts() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (150, 3))
    said = [" ".join(word if v else "not" for word, v in zip(LABELS, row, strict=True)) + " at all" for row in y]
    schema = Schema((Column("said", ColumnKind.TEXT),), ("said",))
    model = make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression())).fit(said, y)
    found = taken(model, pa.table({"said": said}), schema)
    members = answers(found, pa.table({"said": said})).members
    assert members is not None
    assert members.astype(int).tolist() == model.predict(said).tolist()


def test_what_is_not_taken_says_why() -> None:
    x, y = rows()
    with pytest.raises(BackstayError, match="ClassifierChain that answers sets") as refused:
        taken(ClassifierChain(LogisticRegression()).fit(x, y), table(x))
    assert "OneVsRestClassifier" in refused.value.fix
    with pytest.raises(BackstayError, match="knows 2 labels, 3 were said"):
        taken(OneVsRestClassifier(LogisticRegression()).fit(x, y[:, :2]), table(x))
    always = np.column_stack([y[:, :2], np.zeros(len(y), dtype=int)])
    with pytest.warns(UserWarning, match="present in all"):
        model = OneVsRestClassifier(LogisticRegression()).fit(x, always)
    with pytest.raises(BackstayError, match="in no row, or in all"):
        taken(model, table(x))
