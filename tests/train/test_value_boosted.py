"""Boosted trees of LightGBM and XGBoost that answer a number: the bundle says what the library itself says."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from backstay.bundle.model import load
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import TrainSettings
from backstay.train.convert import boosted
from backstay.train.estimators import value_lightgbm, value_xgboost
from backstay.train.regression import fit

PARTS = {"train": np.arange(500), "tune": np.arange(500, 650)}
PLACES = ("north", "south", "sea", "hill", "lake")
SCHEMA = Schema(
    (Column("size", ColumnKind.NUMBER), Column("rooms", ColumnKind.NUMBER), Column("place", ColumnKind.CATEGORY),
     Column("price", ColumnKind.NUMBER)),
    ("size", "rooms", "place"), target="price",
)  # fmt: skip


def rows(n: int = 650, seed: int = 0) -> pa.Table:
    """Prices far from zero, so that a relative difference means something; rooms lie on thresholds, a tenth is gone."""
    rng = np.random.default_rng(seed)
    size, rooms, place = rng.uniform(20, 150, n), rng.integers(1, 7, n).astype(float), rng.integers(0, 5, n)
    price = 2e5 + 3e3 * size + 2e4 * (rooms % 3) + 5e4 * (place == 2) + rng.normal(0, 1e4, n)
    gone = rng.random((n, 3)) < 0.1
    return pa.table(
        {
            "size": pa.array([None if g else v for v, g in zip(size, gone[:, 0], strict=True)]),
            "rooms": pa.array([None if g else v for v, g in zip(rooms, gone[:, 1], strict=True)]),
            "place": pa.array([None if g else PLACES[v] for v, g in zip(place, gone[:, 2], strict=True)]),
            "price": price,
        }
    )


def strange(n: int = 400) -> pa.Table:
    """Live rows: other values than in training, gaps in every column, and places that nobody has seen."""
    table = rows(n, seed=9)
    named = [f"unknown {i}" if i % 4 == 0 else v for i, v in enumerate(table["place"].to_pylist())]
    sizes = [1e300 if i == 0 else -1e300 if i == 1 else v for i, v in enumerate(table["size"].to_pylist())]
    return pa.table({"size": sizes, "rooms": table["rooms"], "place": pa.array(named)})


def library(model: str) -> Any:
    try:
        return import_module(model)
    except (ImportError, OSError):  # LightGBM needs libgomp of the system
        pytest.skip(f"{model} cannot be loaded here")


def recipe(model: str, **options: Any) -> TrainSettings:
    return TrainSettings(model=model, model_options=options)


def written(model: str, live: pa.Table, learned: pa.Table) -> np.ndarray:
    """What the library is to be asked, row by row, from what the pages say of it: no code of the package is used."""
    train = learned.slice(0, 500)
    known = [v for v in train["place"].to_pylist() if v is not None]
    order = sorted(set(known), key=lambda v: (-known.count(v), v))
    scales = {}
    for name in ("size", "rooms"):
        there = np.array([v for v in train[name].to_pylist() if v is not None])
        scales[name] = (there.mean(), there.std())
    out = []
    for row in live.select(["size", "rooms", "place"]).to_pylist():
        numbers = [np.nan if row[n] is None else (row[n] - scales[n][0]) / scales[n][1] for n in ("size", "rooms")]
        place = row["place"]
        code = 0.0 if place is None else 1.0 + order.index(place) if place in order else np.nan
        shown = [float(code == c) for c in range(1 + len(order))]
        out.append([code, *numbers] if model == "lightgbm" else [*numbers, *shown])
    return np.array(out, dtype=np.float64)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize(
    ("model", "kind"), [("lightgbm", value_lightgbm.ValueLightGbm), ("xgboost", value_xgboost.ValueXgBoost)]
)
def test_the_bundle_says_what_the_library_says(
    model: str, kind: Any, loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(model)
    kept: list[Any] = []
    whole = kind.fit
    monkeypatch.setattr(kind, "fit", lambda self, *given: (kept.append(self), whole(self, *given))[1])
    table = rows()
    found = fit(table, SCHEMA, PARTS, recipe(model, loss=loss, trees=60), workdir=tmp_path)
    assert found.parity <= 1e-5
    y = table["price"].to_numpy()[:500]
    loaded = load(found.bundle_directory)
    for live in (table, strange()):
        own = kept[0]._model.predict(written(model, live, table)).astype(np.float64) * y.std() + y.mean()
        np.testing.assert_allclose(loaded.predict(live).numbers, own, rtol=1e-5)
    truth = table["price"].to_numpy()
    error = np.abs(loaded.predict(table).numbers - truth)[500:]
    assert error.mean() < 0.4 * np.abs(truth[500:] - np.median(y)).mean()


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_trees_after_the_best_are_left_out(model: str, tmp_path: Path) -> None:
    library(model)
    found = fit(rows(), SCHEMA, PARTS, recipe(model, learning_rate=0.5, patience=5), workdir=tmp_path)
    few = int(found.figures["trees"])
    assert 0 < few < 500
    exact = fit(rows(), SCHEMA, PARTS, recipe(model, learning_rate=0.5, trees=few), workdir=tmp_path / "b")
    live = strange()
    first, second = (load(each.bundle_directory).predict(live).numbers for each in (found, exact))
    np.testing.assert_allclose(first, second, rtol=1e-6)


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_rows_of_weight_nothing_are_not_learned_from(model: str, tmp_path: Path) -> None:
    """XGBoost bins by weighted quantiles, so that nothing but the weights may tell the two runs apart."""
    library(model)
    table = rows()
    lies = np.where(np.arange(650) < 100, 9e9, table["price"].to_numpy())
    weights = np.where(np.arange(650) < 100, 0.0, 1.0)
    given = table.set_column(3, "price", pa.array(lies))
    found = fit(given, SCHEMA, PARTS, recipe(model, trees=60), workdir=tmp_path, sample_weight=weights)
    assert load(found.bundle_directory).predict(table).numbers.max() < 1e6


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_a_graph_that_sends_gaps_the_other_way_is_never_written(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library(model)
    right = getattr(boosted, f"{model}_nodes")

    def astray(tree: Any) -> Any:
        return [
            boosted.Split(n.feature, n.yes, n.no, n.threshold, not n.missing_yes, n.members)
            if isinstance(n, boosted.Split) else n for n in right(tree)
        ]  # fmt: skip

    monkeypatch.setattr(boosted, f"{model}_nodes", astray)
    with pytest.raises(BackstayError, match="differs from the fitted model"):
        fit(rows(), SCHEMA, PARTS, recipe(model, trees=30), workdir=tmp_path)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize("model", ["lightgbm", "xgboost"])
def test_without_the_library_it_says_what_to_install(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, model, None)
    with pytest.raises(BackstayError, match=f"train.model is {model}, which cannot be loaded") as caught:
        fit(rows(), SCHEMA, PARTS, recipe(model), workdir=tmp_path)
    assert f"backstay[{model}]" in str(caught.value.fix)


@pytest.mark.parametrize(("model", "wrong", "near"), [("lightgbm", "leafs", "leaves"), ("xgboost", "dept", "depth")])
def test_an_unknown_option_names_the_nearest(model: str, wrong: str, near: str, tmp_path: Path) -> None:
    library(model)
    with pytest.raises(BackstayError, match=wrong) as caught:
        fit(rows(), SCHEMA, PARTS, recipe(model, **{wrong: 3}), workdir=tmp_path)
    assert near in str(caught.value.fix)
