from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backstay.data.identity import CHUNK, identify
from backstay.data.images import image_array
from backstay.data.read import read
from backstay.data.schema import conform, infer_schema
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema


def schema_of(table: pa.Table) -> Schema:
    return infer_schema(table)


def name_of(table: pa.Table, schema: Schema) -> str:
    return identify(conform(table, schema), schema).id


@pytest.fixture(scope="module")
def million() -> tuple[pa.Table, Schema]:
    rng = np.random.default_rng(0)
    n = 1_000_000
    table = pa.table(
        {
            "x": rng.normal(size=n),
            "k": rng.integers(0, 1000, n),
            "c": pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 4, n, dtype=np.int8)), ["a", "b", "c", "d"]),
            "f": rng.random(n) < 0.5,
        }
    )
    schema = schema_of(table)
    return conform(table, schema), schema


def flip(table: pa.Table, name: str, row: int) -> pa.Table:
    column = table.column(name)
    old = column[row].as_py()
    new = (
        (not old)
        if isinstance(old, bool)
        else old + "z"
        if isinstance(old, str)
        else np.nextafter(old, 9e9)
        if isinstance(old, float)
        else old + 1
    )
    middle = pa.chunked_array([pa.array([new], column.type)])
    pieces = [*column.slice(0, row).chunks, *middle.chunks, *column.slice(row + 1).chunks]
    return table.set_column(table.column_names.index(name), name, pa.chunked_array(pieces, column.type))


def test_one_flipped_cell_in_a_million_rows(million: tuple[pa.Table, Schema]) -> None:
    table, schema = million
    before = identify(table, schema)
    rng = np.random.default_rng(1)
    rows = [0, 999_999, *rng.integers(0, 1_000_000, 6)]
    for place, row in enumerate(int(r) for r in rows):
        after = identify(flip(table, table.column_names[place % 4], row), schema)
        assert after.id != before.id
        changed = [i for i, (a, b) in enumerate(zip(before.chunks, after.chunks, strict=True)) if a != b]
        assert changed == [row // CHUNK]


def test_appended_rows_share_full_chunks(million: tuple[pa.Table, Schema]) -> None:
    table, schema = million
    parent = identify(table.slice(0, 2 * CHUNK + 10), schema)
    child = identify(table.slice(0, 3 * CHUNK), schema)
    assert child.id != parent.id
    assert child.shares(parent) == 2
    assert parent.shares(parent) == 3


def test_the_format_does_not_matter(people: pa.Table, tmp_path: Path) -> None:
    schema = infer_schema(people, target="y")
    wanted = name_of(people, schema)
    for size in (1, 7, 600):
        pq.write_table(people, tmp_path / "r.parquet", row_group_size=size)
        assert name_of(read(tmp_path / "r.parquet"), schema) == wanted
    feather.write_feather(people, str(tmp_path / "r.arrow"))
    pacsv.write_csv(people, tmp_path / "r.csv")
    coded = people.set_column(1, "job", people.column("job").dictionary_encode())
    views = people.set_column(1, "job", people.column("job").cast(pa.string_view()))
    pieces = pa.concat_tables([people.slice(0, 13), people.slice(13, 1), people.slice(14)])
    for same in (
        read(tmp_path / "r.arrow"),
        read(tmp_path / "r.csv"),
        coded,
        views,
        pieces,
        read(pl.from_arrow(people)),
    ):
        assert name_of(same, schema) == wanted


def test_the_schema_is_part_of_the_identity(people: pa.Table) -> None:
    ids = {
        name_of(people, infer_schema(people, target="y", kinds=k))
        for k in ({}, {"visits": "number"}, {"visits": "text"})
    }
    assert len(ids) == 3


def one(values: list[object], kind: ColumnKind, arrow: pa.DataType) -> str:
    schema = Schema((Column("v", kind),), ("v",))
    return identify(conform(pa.table({"v": pa.array(values, arrow)}), schema), schema).id


def test_what_differs_and_what_does_not() -> None:
    text, number = ColumnKind.TEXT, ColumnKind.NUMBER
    assert one(["ab", "c"], text, pa.string()) != one(["a", "bc"], text, pa.string())
    assert one(["", "a"], text, pa.string()) != one([None, "a"], text, pa.string())
    assert one([1.0, 2.0], number, pa.float64()) != one([2.0, 1.0], number, pa.float64())
    assert one([0.0], number, pa.float64()) != one([-0.0], number, pa.float64())
    assert one([float("nan")], number, pa.float64()) != one([None], number, pa.float64())
    odd = np.array([0x7FF8000000000001], dtype=np.uint64).view(np.float64)
    assert one(list(odd), number, pa.float64()) == one([float("nan")], number, pa.float64())
    day = datetime(2026, 1, 1, tzinfo=UTC)
    assert one([day], ColumnKind.TIME, pa.timestamp("us", "UTC")) != one(
        [day.replace(microsecond=1)], ColumnKind.TIME, pa.timestamp("us", "UTC")
    )


def test_garbage_under_nulls_does_not_matter() -> None:
    mask = pa.array([True, False, True]).buffers()[1]
    schema = Schema((Column("v", ColumnKind.NUMBER),), ("v",))
    ids = set()
    for hidden in (1.0, 99.0):
        data = pa.py_buffer(np.array([4.0, hidden, 5.0]).tobytes())
        array = pa.Array.from_buffers(pa.float64(), 3, [mask, data])
        ids.add(identify(pa.table({"v": array}), schema).id)
    assert len(ids) == 1


def test_one_pixel(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 4, 4, 3), dtype=np.uint8)
    schema = schema_of(pa.table({"i": image_array(pixels)}))
    before = name_of(pa.table({"i": image_array(pixels)}), schema)
    assert (
        name_of(pa.concat_tables([pa.table({"i": image_array(p)}) for p in (pixels[:20], pixels[20:])]), schema)
        == before
    )
    pixels[31, 2, 3, 1] ^= 1
    assert name_of(pa.table({"i": image_array(pixels)}), schema) != before


def test_rows_that_do_not_conform(people: pa.Table) -> None:
    with pytest.raises(BackstayError, match="conform"):
        identify(people.drop_columns(["age"]), infer_schema(people, target="y"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=12), st.data())
def test_slicing_never_matters_and_content_always_does(values: list[str | None], data: st.DataObject) -> None:
    schema = Schema((Column("v", ColumnKind.TEXT),), ("v",))
    whole = pa.table({"v": pa.array(values, pa.string())})
    cut = data.draw(st.integers(0, len(values)))
    assert identify(pa.concat_tables([whole.slice(0, cut), whole.slice(cut)]), schema) == identify(whole, schema)
    other = data.draw(st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=12))
    same = identify(pa.table({"v": pa.array(other, pa.string())}), schema).id == identify(whole, schema).id
    assert same == (other == values)
