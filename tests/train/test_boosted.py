"""LightGBM and XGBoost as graphs: the same answers, above all where a value lies on a threshold or is missing."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.train import bring
from backstay.train.convert import boosted
from backstay.train.convert.fitted import graph_of
from backstay.train.convert.trees import Split

try:
    import lightgbm
    import xgboost
except (ImportError, OSError) as error:  # LightGBM needs libgomp, which not every system has
    pytest.skip(f"cannot be loaded here: {error}", allow_module_level=True)

NAMES = ("a", "b", "c", "d")
SCHEMA = Schema((*(Column(n, ColumnKind.NUMBER) for n in NAMES), Column("y", ColumnKind.CATEGORY)), NAMES, target="y")
SMALL = {"n_estimators": 25}


def rows(classes: int, *, gaps: bool, n: int = 800) -> tuple[pd.DataFrame, np.ndarray, pa.Table]:
    """Rows of which two columns have few values, so that many lie exactly on a threshold."""
    rng = np.random.default_rng(classes)
    x = rng.normal(size=(n, 4))
    x[:, 2], x[:, 3] = np.round(x[:, 2], 1), rng.integers(0, 8, n)
    said = x[:, 0] + np.sin(3 * x[:, 1]) + (x[:, 3] % 3 == 0) + x[:, 2] + rng.normal(size=n) * 0.3
    y = np.digitize(said, np.quantile(said, np.linspace(0, 1, classes + 1)[1:-1]))
    if gaps:
        x[rng.random((n, 4)) < 0.1] = np.nan
    table = pa.table({**{name: x[:, i] for i, name in enumerate(NAMES)}, "y": [str(v) for v in y]})
    return pd.DataFrame(x, columns=NAMES), y, table


def gap(model, table: pa.Table) -> float:
    compared = graph_of(model, table, SCHEMA).compared
    assert compared is not None
    assert compared.rows > 4000
    return compared.gap


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize(
    "make",
    [
        lambda: lightgbm.LGBMClassifier(**SMALL, verbose=-1),
        lambda: lightgbm.LGBMClassifier(**SMALL, boosting_type="dart", verbose=-1),
        lambda: lightgbm.LGBMClassifier(**SMALL, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6, verbose=-1),
        lambda: xgboost.XGBClassifier(**SMALL),
        lambda: xgboost.XGBClassifier(**SMALL, tree_method="exact", base_score=0.3),
    ],
    ids=["lightgbm", "lightgbm-dart", "lightgbm-rf", "xgboost", "xgboost-exact"],
)
def test_the_graph_answers_as_the_model(make, classes, gaps):
    frame, y, table = rows(classes, gaps=gaps)
    model = make().fit(frame, y)
    assert gap(model, table) < 1e-6


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: lightgbm.LGBMRegressor(**SMALL, verbose=-1),
        lambda: lightgbm.LGBMRegressor(**SMALL, objective="poisson", verbose=-1),
        lambda: xgboost.XGBRegressor(**SMALL),
        lambda: xgboost.XGBRegressor(**SMALL, objective="reg:absoluteerror"),
    ],
    ids=["lightgbm", "lightgbm-poisson", "xgboost", "xgboost-absolute"],
)
def test_numbers_are_answered_alike(make, gaps):
    frame, y, table = rows(5, gaps=gaps)
    compared = graph_of(make().fit(frame, y * 100.0), table, SCHEMA, task="regression").compared
    assert compared.rows > 4000
    assert compared.gap < 1e-6


def test_categories_are_sets():
    frame, y, table = rows(3, gaps=True)
    model = lightgbm.LGBMClassifier(**SMALL, verbose=-1).fit(frame, y, categorical_feature=[3])
    assert any("==" in str(tree) for tree in model.booster_.dump_model()["tree_info"])
    assert gap(model, table) < 1e-6


def test_trees_after_the_best_are_left_out():
    frame, y, table = rows(2, gaps=False)
    model = xgboost.XGBClassifier(n_estimators=300, early_stopping_rounds=5)
    model.fit(frame[:500], y[:500], eval_set=[(frame[500:], y[500:])], verbose=False)
    assert model.best_iteration < 290
    assert gap(model, table) < 1e-6


def test_behind_a_pipeline_and_by_the_front_door():
    frame, y, table = rows(2, gaps=True)
    model = make_pipeline(SimpleImputer(), lightgbm.LGBMClassifier(**SMALL, verbose=-1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model.fit(frame, y)
        found = bring.graph_of(model, table, SCHEMA, classes=("0", "1"))
    assert found.draft.classes == ("0", "1")
    assert found.content


def test_a_threshold_that_is_asked_wrongly_is_found_out(monkeypatch):
    """XGBoost asks whether a value is less. A graph that asks whether it is at most must not pass."""
    frame, y, table = rows(2, gaps=False)
    model = xgboost.XGBClassifier(**SMALL, tree_method="exact").fit(frame, y)
    right = boosted.xgboost_nodes

    def wrong(tree):
        at = [float(np.float32(v)) for v in tree["split_conditions"]]
        return [
            Split(n.feature, n.yes, n.no, at[i], n.missing_yes) if isinstance(n, Split) else n
            for i, n in enumerate(right(tree))
        ]

    monkeypatch.setattr(boosted, "xgboost_nodes", wrong)
    with pytest.raises(BackstayError, match="differ"):
        graph_of(model, table, SCHEMA)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: xgboost.XGBClassifier(booster="gblinear"), "gblinear"),
        (lambda: xgboost.XGBClassifier(booster="dart", n_estimators=3), "dart"),
        (lambda: xgboost.XGBClassifier(n_estimators=3, missing=0.0), "counts as missing"),
        (lambda: lightgbm.LGBMClassifier(n_estimators=3, zero_as_missing=True, verbose=-1), "zero_as_missing"),
        (lambda: lightgbm.LGBMClassifier(n_estimators=3, linear_tree=True, verbose=-1), "linear"),
        (lambda: lightgbm.LGBMClassifier(n_estimators=3, objective="cross_entropy", verbose=-1), "cross_entropy"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(make, what):
    frame, y, table = rows(2, gaps=False)
    model = make().fit(frame, y)
    with pytest.raises(BackstayError, match=what) as caught:
        bring.graph_of(model, table, SCHEMA, classes=("0", "1"))
    assert caught.value.fix


def test_categories_that_pandas_coded_are_refused():
    frame, y, table = rows(2, gaps=False)
    frame["d"] = frame["d"].astype(str).astype("category")
    model = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(frame, y)
    with pytest.raises(BackstayError, match="pandas"):
        bring.graph_of(model, table, SCHEMA, classes=("0", "1"))
