"""Ids and groups are text, whatever a file wrote them as."""

from __future__ import annotations

import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data.read import read
from backstay.data.row_names import row_names, with_text_names
from backstay.data.schema import conform, infer_schema
from backstay.data.split import split
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.settings import SplitSettings


def people(ids: object, groups: object) -> pa.Table:
    n = 60
    return pa.table({"id": ids, "who": groups, "x": np.arange(n) / 7, "y": ["a", "b"] * (n // 2)})


@pytest.mark.parametrize("kind", [pa.int64(), pa.uint16(), pa.float64(), pa.string(), pa.large_string()])
def test_ids_and_groups_of_every_kind_are_the_same_texts(kind: pa.DataType) -> None:
    ids, groups = pa.array(range(60), pa.int64()).cast(kind), pa.array([i // 3 for i in range(60)]).cast(kind)
    table = people(ids, groups)
    schema = infer_schema(table, target="y", id="id", group="who")
    assert {schema.column(n).kind for n in ("id", "who")} == {ColumnKind.CATEGORY}
    found = conform(table, schema)
    assert found["id"].to_pylist() == [str(i) for i in range(60)]
    assert found["who"].to_pylist() == [str(i // 3) for i in range(60)]


def test_declared_as_a_number_they_are_text_all_the_same() -> None:
    table = people(pa.array(range(60)), pa.array([i // 3 for i in range(60)]))
    schema = infer_schema(table, target="y", id="id", group="who", kinds={"id": "integer", "who": "number"})
    assert {schema.column(n).kind for n in ("id", "who")} == {ColumnKind.CATEGORY}


def test_a_group_that_is_learned_from_keeps_its_kind() -> None:
    table = people(pa.array(range(60)), pa.array([i // 3 for i in range(60)]))
    schema = infer_schema(table, target="y", id="id", group="who", features=["who", "x"])
    assert schema.column("who").kind is ColumnKind.INTEGER
    assert with_text_names(schema) == schema


def test_numbers_with_gaps_fall_to_the_parts_of_their_whole_numbers() -> None:
    """Pandas writes whole numbers with a gap as 1.0: such a row must not move to another part."""
    groups = [i // 3 for i in range(60)]
    whole = people(pa.array(range(60)), pa.array(groups))
    gapped = people(pa.array(range(60)), pa.array([float(g) if i else np.nan for i, g in enumerate(groups)]))
    found = []
    for table in (whole, gapped):
        schema = infer_schema(table, target="y", id="id", group="who")
        rows = conform(table, schema)
        found.append({int(i): part for part, places in split(rows, schema, SplitSettings()).items() for i in places})
        if table is gapped:
            assert rows["who"].null_count == 1
    assert {i: part for i, part in found[0].items() if i} == {i: part for i, part in found[1].items() if i}


def test_value_by_value() -> None:
    mixed = pa.chunked_array([[7.0, 7.5, None], [float("nan"), 1e17]])
    assert row_names(mixed).to_pylist() == ["7", "7.5", None, None, "100000000000000000"]
    assert row_names(pa.chunked_array([[True, None]])).to_pylist() == ["true", None]
    assert row_names(pa.chunked_array([[Decimal("1.50")]])).to_pylist() == ["1.50"]
    assert row_names(pa.chunked_array([["a", "b", None]]).dictionary_encode()).to_pylist() == ["a", "b", None]
    assert row_names(pa.chunked_array([pa.nulls(2)])).to_pylist() == [None, None]
    assert row_names(pa.chunked_array([], pa.float64())).to_pylist() == []


def test_a_stored_schema_of_numbers_is_read_as_text() -> None:
    columns = (Column("id", ColumnKind.INTEGER, nullable=False), Column("who", ColumnKind.NUMBER))
    old = Schema((*columns, Column("x", ColumnKind.INTEGER)), ("x",), id="id", group="who")
    new = with_text_names(old)
    assert [c.kind for c in new.columns] == [ColumnKind.CATEGORY, ColumnKind.CATEGORY, ColumnKind.INTEGER]
    assert not new.column("id").nullable
    rows = conform(pa.table({"id": [1, 2], "who": [1.0, None], "x": [3, 4]}), old)
    assert conform(rows, new).to_pylist() == [{"id": "1", "who": "1", "x": 3}, {"id": "2", "who": None, "x": 4}]


def test_uuids_are_read_as_their_text(tmp_path) -> None:
    drawn = [uuid.UUID(int=i) for i in range(60)]
    table = people(pa.array(drawn, pa.uuid()), pa.array([drawn[i // 3] for i in range(60)], pa.uuid()))
    pq.write_table(table, tmp_path / "rows.parquet")
    for source in (table, tmp_path / "rows.parquet"):
        rows = read(source)
        assert rows["id"].to_pylist() == [str(u) for u in drawn]
        schema = infer_schema(rows, target="y", id="id", group="who")
        assert conform(rows, schema)["who"].to_pylist()[5] == str(drawn[1])
