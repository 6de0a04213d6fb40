from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data.batches import Batches
from backstay.kernel.errors import BackstayError, NotFound

TABLE = pa.table({"a": range(10), "b": [f"r{i}" for i in range(10)]})


def rows_of(batches: Batches, **how) -> list[dict]:
    return [row for table in batches.read(**how) for row in table.to_pylist()]


@pytest.mark.parametrize("frame", [TABLE, pl.from_arrow(TABLE), pd.DataFrame(TABLE.to_pydict())])
def test_frames_come_in_parts(frame) -> None:
    batches = Batches.of(frame)
    assert (batches.names, batches.rows) == (("a", "b"), 10)
    assert [table.num_rows for table in batches.read(at_a_time=4)] == [4, 4, 2]
    assert rows_of(batches, at_a_time=3) == TABLE.to_pylist()


def test_a_file_and_a_folder_are_streamed_in_order(tmp_path) -> None:
    pq.write_table(TABLE.slice(0, 6), tmp_path / "1.parquet", row_group_size=2)
    pq.write_table(TABLE.slice(6), tmp_path / "2.parquet")
    one, both = Batches.of(tmp_path / "1.parquet"), Batches.of(str(tmp_path))
    assert (one.rows, both.rows) == (6, 10)
    assert both.table is None, "nothing is read ahead"
    assert rows_of(both, at_a_time=4) == TABLE.to_pylist()
    assert rows_of(both, columns=["b"]) == TABLE.select(["b"]).to_pylist()


def test_memory_does_not_grow_with_the_file(tmp_path) -> None:
    """What pyarrow holds after the last batch is about what it held after the first."""
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"x": np.random.default_rng(0).random(1_000_000)}), path, row_group_size=50_000)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in Batches.of(path).read(at_a_time=50_000)]
    assert len(held) == 20
    assert max(held) < 3_000_000, "of 8,000,000 bytes"


def test_an_array_is_one_column() -> None:
    (table,) = Batches.of(np.arange(6.0).reshape(3, 2), array_name="e").read()
    assert table.to_pydict() == {"e": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]}


@pytest.mark.parametrize("array", [np.arange(3.0), np.empty((0, 3)), np.array([["a"]])])
def test_other_arrays_are_refused(array) -> None:
    with pytest.raises(BackstayError, match="an array of shape"):
        Batches.of(array)


def test_files_that_are_not_there_or_not_parquet(tmp_path) -> None:
    with pytest.raises(NotFound, match="no file"):
        Batches.of(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(BackstayError, match="cannot be read as Parquet"):
        Batches.of(tmp_path / "bad.parquet")


def test_files_with_other_columns_are_refused(tmp_path) -> None:
    pq.write_table(TABLE, tmp_path / "1.parquet")
    pq.write_table(TABLE.select(["a"]), tmp_path / "2.parquet")
    with pytest.raises(BackstayError, match="differ in the column 'b'"):
        Batches.of(tmp_path)


def test_a_file_without_rows_is_refused(tmp_path) -> None:
    pq.write_table(TABLE.slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(BackstayError, match="no rows"):
        Batches.of(tmp_path / "none.parquet")
