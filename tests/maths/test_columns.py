from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.errors import BackstayError
from backstay.maths.columns import ColumnMap
from backstay.maths.meanshift import MeanShift


@given(
    values=st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan")), st.integers(-3, 3)), min_size=1),
    others=st.lists(st.floats(allow_infinity=True), min_size=1, max_size=20),
)
def test_every_number_lies_in_exactly_one_cell(values: list[float], others: list[float]) -> None:
    column = ColumnMap.fit(np.array(values, dtype=float))
    features = column.features(np.array(others, dtype=float))
    assert features.shape == (len(others), len(column.labels))
    assert np.all(features[:, :-1].sum(axis=1) == 1)
    assert np.all(np.isfinite(features))
    assert np.array_equal(features[:, -2] == 1, np.isnan(others))


def test_cells_are_tenths_of_the_reference() -> None:
    x = np.random.default_rng(0).normal(size=10_000)
    shares = ColumnMap.fit(x).features(x).mean(axis=0)
    assert np.allclose(shares[:10], 0.1, atol=0.002)


def test_a_common_value_has_its_own_cell() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(1000) < 0.8, 0.0, rng.random(1000) + 0.1)
    column = ColumnMap.fit(x)
    shares = column.features(x).mean(axis=0)
    assert shares[:-2].max() == pytest.approx(0.8, abs=0.04)
    assert not np.array_equal(column.features(np.array([0.0])), column.features(np.array([0.05])))


def test_categories_new_ones_and_missing_ones() -> None:
    reference = np.array(["b"] * 60 + ["a"] * 39 + ["rare"] + [None] * 20, dtype=object)
    column = ColumnMap.fit(reference)
    assert column.labels == ("b", "a", "(other)", "(missing)")
    features = column.features(np.array(["a", "new", None, "rare"], dtype=object))
    assert features.tolist() == [[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    strings = np.array(["a", "b", "b"])
    assert column.features(strings)[:, :2].sum() == 3


def test_only_so_many_categories_are_kept() -> None:
    many = np.array([f"v{i % 50:02d}" for i in range(500)], dtype=object)
    assert len(ColumnMap.fit(many).values) == 20
    assert ColumnMap.fit(many, top=3).labels == ("v00", "v01", "v02", "(other)", "(missing)")


def test_maps_survive_json() -> None:
    for x in (np.array([0.0, 0.0, 1.5, np.nan]), np.array(["a", None], dtype=object), np.full(4, np.nan)):
        column = ColumnMap.fit(x)
        assert ColumnMap.from_json(json.loads(json.dumps(column.to_json()))) == column


def test_the_wrong_kind_of_column_is_refused() -> None:
    numbers, words = ColumnMap.fit(np.arange(20.0)), ColumnMap.fit(np.array(["a", "b"], dtype=object))
    with pytest.raises(BackstayError, match="held numbers"):
        numbers.features(np.array(["a"], dtype=object))
    with pytest.raises(BackstayError, match="held categories"):
        words.features(np.arange(3.0))
    with pytest.raises(BackstayError, match="shape"):
        ColumnMap.fit(np.array([]))


@pytest.mark.parametrize("change", ["mean", "spread", "missing", "zeros"])
def test_each_kind_of_change_is_found(change: str) -> None:
    rng = np.random.default_rng(1)
    reference, window = rng.normal(size=3000), rng.normal(size=400)
    if change == "mean":
        window = window + 0.4
    elif change == "spread":
        window = window * 1.5
    elif change == "missing":
        window[:40] = np.nan
    else:
        window[:60] = 0.0
    column = ColumnMap.fit(reference)
    shift = MeanShift.fit(column.features(reference), whiten=True)
    assert not shift.check(column.features(rng.normal(size=400)), 0.001).alarm
    assert shift.check(column.features(window), 0.001).alarm


def test_a_new_category_is_found() -> None:
    rng = np.random.default_rng(1)
    reference = rng.choice(np.array(["a", "b", "c"], dtype=object), 2000, p=[0.6, 0.3, 0.1])
    window = rng.choice(np.array(["a", "b", "c", "d"], dtype=object), 300, p=[0.5, 0.25, 0.08, 0.17])
    column = ColumnMap.fit(reference)
    assert MeanShift.fit(column.features(reference), whiten=True).check(column.features(window), 0.001).alarm


@given(
    st.lists(
        st.one_of(st.floats(-50, 50), st.sampled_from([0.0, 1.0, float("nan"), float("inf"), -float("inf")])),
        min_size=1,
        max_size=80,
    )
)
def test_sums_of_numbers_are_those_of_the_features(values):
    map_ = ColumnMap.fit(np.r_[np.zeros(40), np.random.default_rng(0).normal(size=100), np.nan])
    column = np.asarray(values)
    assert map_.sums(column) == pytest.approx(map_.features(column).sum(axis=0), abs=1e-9)


def test_sums_over_several_parts_of_a_long_column(monkeypatch):
    monkeypatch.setattr("backstay.maths.columns.CHUNK", 7)
    column = np.random.default_rng(1).normal(size=100)
    map_ = ColumnMap.fit(column)
    assert map_.sums(column) == pytest.approx(map_.features(column).sum(axis=0), abs=1e-9)


@given(st.lists(st.sampled_from(["a", "b", "c", "new", None, 1, 1.0]), min_size=1, max_size=40))
def test_sums_of_categories_are_those_of_the_features(values):
    map_ = ColumnMap.fit(np.array(["a"] * 5 + ["b"] * 5 + ["1", None], dtype=object))
    column = np.array(values, dtype=object)
    assert map_.sums(column).tolist() == map_.features(column).sum(axis=0).tolist()


def test_sums_of_the_other_kind_are_refused():
    with pytest.raises(BackstayError, match="where the reference held numbers"):
        ColumnMap.fit(np.arange(20.0)).sums(np.array(["a"], dtype=object))
