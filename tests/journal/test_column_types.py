"""Columns of several types as one: nothing raises, and nothing that can be kept is lost."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from backstay.journal.column_types import as_numbers, as_text, at_odds, no_numbers, recast

A = pa.array
NOON = datetime(2026, 3, 1, 12)


def unified(tables):
    odd = at_odds([(table.schema, table.num_rows) for table in tables])
    return [recast(table, odd) for table in tables]


def both(*columns):
    tables = unified([pa.table({"x": column}) for column in columns])
    return pa.concat_tables(tables, promote_options="permissive").column("x")


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ((A([1]), A([1.5])), [1.0, 1.5]),
        ((A([1]), A([2], pa.int8())), [1, 2]),
        ((A([True]), A([3])), [1, 3]),
        ((A([2], pa.uint64()), A([3])), [2.0, 3.0]),
        ((A([12345]), A(["0A-12"])), ["12345", "0A-12"]),
        ((A([1.5]), A(["3.14 EUR"])), ["1.5", "3.14 EUR"]),
        ((A([True]), A(["x"])), ["true", "x"]),
        ((A(["u"]).dictionary_encode(), A(["v"])), ["u", "v"]),
        ((A([1]).dictionary_encode(), A([2.5])), [1.0, 2.5]),
        ((A([date(2026, 3, 1)]), A([NOON])), [datetime(2026, 3, 1, tzinfo=UTC), NOON.replace(tzinfo=UTC)]),
        ((A([NOON], pa.timestamp("us", "UTC")), A([NOON])), [NOON.replace(tzinfo=UTC)] * 2),
        ((A([None], pa.int64()), A([["a"]])), [None, "['a']"]),
        ((A([[1.0]]), A([[2]], pa.list_(pa.int64(), 1))), [[1.0], [2.0]]),
        ((A([{"a": 1}]), A(["t"])), ["{'a': 1}", "t"]),
        ((A([b"\xff"]), A(["t"])), ["b'\\xff'", "t"]),
        ((pa.nulls(1), A(["t"])), [None, "t"]),
    ],
)
def test_two_types_become_one_that_holds_both(columns, wanted):
    assert both(*columns).to_pylist() == wanted


def test_moments_stay_the_same_moments_in_two_zones():
    found = both(A([NOON], pa.timestamp("us", "Europe/Rome")), A([NOON], pa.timestamp("ns", "UTC")), A([NOON]))
    assert found.type == pa.timestamp("us", "UTC")
    assert all(at == NOON.replace(tzinfo=UTC) for at in found.to_pylist())


def test_no_pair_of_types_raises():
    pixels = pa.FixedShapeTensorArray.from_numpy_ndarray
    kinds = [
        *(A([1], k) for k in (pa.int8(), pa.uint64(), pa.float32(), pa.decimal128(9, 2))),
        *(A([0], pa.timestamp(u, z)) for u in ("s", "ns") for z in (None, "Europe/Rome")),
        *(A([v]) for v in (True, "x", b"\xff", [1.0], [["x"]], {"a": 1}, date(2026, 1, 1), timedelta(1))),
        A([[1.0]], pa.list_(pa.float64(), 1)),
        A([1], pa.time64("us")),
        A(["x"]).dictionary_encode(),
        pa.nulls(1),
        pixels(np.zeros((1, 2, 2, 1), np.uint8)),
        pixels(np.zeros((1, 3, 3, 1), np.uint8)),
    ]
    for one, two in permutations(kinds, 2):
        found = both(one, two)
        assert len(found) == 2
        assert len(as_text(found)) == len(as_numbers(found)) == 2
        no_numbers(found)


def test_what_reads_as_a_number_is_one_and_the_rest_is_told():
    texts = [" 3.5", "1e3", "-2", "-inf", "3.14 EUR", "n/a", "", None, "12,5"]
    column = pa.chunked_array([texts])
    assert as_numbers(column).to_pylist() == [3.5, 1000.0, -2.0, -np.inf, *[None] * 5]
    assert no_numbers(column).to_pylist() == [*[None] * 4, "3.14 EUR", None, None, None, "12,5"]
    assert no_numbers(pa.chunked_array([["1", "n/a"]])) is None
    assert no_numbers(pa.chunked_array([[1.0, None]])) is None
    assert no_numbers(A([NOON])).to_pylist()[0].startswith("2026-03-01 12:00")
    assert as_numbers(A([NOON])).to_pylist() == [None]
    assert as_numbers(A(["7", "x"]).dictionary_encode()).to_pylist() == [7.0, None]


def test_tables_of_one_type_are_given_back_as_they_are():
    tables = [pa.table({"x": [1.0], "y": ["a"]}), pa.table({"x": [2.0]})]
    assert all(found is given for found, given in zip(unified(tables), tables, strict=True))
