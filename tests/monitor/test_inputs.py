from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.monitor.inputs import InputSpace, columns_of, strange_of


def test_columns_become_floats_with_nan_and_objects_with_none():
    table = pa.table(
        {
            "age": pa.array([1, None, 3], pa.int64()),
            "plan": pa.array(["a", None, "b"]),
            "member": pa.array([True, False, None]),
            "note": pa.array(["four", "", None]),
            "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3),
        }
    )
    kinds = ("integer", "category", "boolean", "text", "time")
    columns = tuple(Column(n, ColumnKind(k)) for n, k in zip(table.column_names, kinds, strict=True))
    found = columns_of(table, Schema(columns, ("age", "plan", "member", "note", "at", "gone")))
    assert sorted(found) == ["age", "length of note", "member", "plan"]
    np.testing.assert_array_equal(found["age"], [1.0, np.nan, 3.0])
    assert found["plan"].tolist() == ["a", None, "b"]
    assert found["member"].tolist() == ["true", "false", None]
    np.testing.assert_array_equal(found["length of note"], [4.0, 0.0, np.nan])


def test_columns_of_another_type_are_read_as_far_as_they_can_be():
    table = pa.table(
        {
            "price": ["3.5", "3.14 EUR", "n/a", None],
            "age": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 4),
            "plan": pa.array([1.0, 2.0, None, 2.5]),
            "member": pa.array(["True", "0", "maybe", None]),
            "paid": pa.array([1, 0, None, 7]),
            "note": pa.array([[1], [2, 3], None, []]),
            "kind": pa.array(["u", "v", None, "u"]).dictionary_encode(),
        }
    )
    kinds = ("number", "integer", "category", "boolean", "boolean", "text", "category")
    columns = tuple(Column(n, ColumnKind(k)) for n, k in zip(table.column_names, kinds, strict=True))
    schema = Schema(columns, tuple(table.column_names))
    found = columns_of(table, schema)
    np.testing.assert_array_equal(found["price"], [3.5, np.nan, np.nan, np.nan])
    assert np.isnan(found["age"]).all()
    assert found["plan"].tolist() == ["1", "2", None, "2.5"]
    assert found["member"].tolist() == ["true", "false", "maybe", None]
    assert found["paid"].tolist() == ["true", "false", None, "7"]
    np.testing.assert_array_equal(found["length of note"], [3.0, 6.0, np.nan, 2.0])
    assert found["kind"].tolist() == ["u", "v", None, "u"]
    odd = strange_of(table, schema)
    assert sorted(odd) == ["age", "price"]
    assert odd["price"].tolist() == [None, "3.14 EUR", None, None]


def test_a_given_representation_is_taken_as_it_is(world):
    reference = world.reference(100)
    space = InputSpace.fit(reference)
    assert space is not None
    np.testing.assert_array_equal(space.rows(reference), reference.representation)


def test_scales_are_learnt_from_the_reference_alone(world):
    space = InputSpace.fit(world.reference(500, representation=None))
    assert space is not None
    rows = space.rows(world.window(n=400, shift=2.0, representation=None))
    assert rows is not None
    assert rows.shape == (400, space.dimension)
    assert 1.7 < rows[:, 0].mean() < 2.3  # a window standardised by itself would say 0


def test_json_and_back(world):
    space = InputSpace.fit(world.reference(200, representation=None))
    assert space is not None
    assert InputSpace.from_json(json.loads(json.dumps(space.to_json()))) == space


def test_a_window_that_lacks_a_column_has_no_rows(world):
    space = InputSpace.fit(world.reference(200, representation=None))
    assert space is not None
    assert space.rows(world.window(columns=False)) is None


def test_nothing_known_is_no_space(world):
    assert InputSpace.fit(world.reference(100, columns=False, representation=None)) is None
