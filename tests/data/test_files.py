"""Columnar files are opened by Arrow itself, so that no thread of its holds what is Python's at the end."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backstay.data.files import read_parquet, table_of

ROWS = pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]})


def test_a_file_of_python_is_never_given_to_the_threads_of_arrow(tmp_path, monkeypatch):
    path = tmp_path / "rows.parquet"
    pq.write_table(ROWS, path)

    def refuse(self: Path, *_: object, **__: object) -> None:
        raise AssertionError(f"{self} was opened by Python")

    monkeypatch.setattr(Path, "open", refuse)
    assert read_parquet(path).equals(ROWS)


def test_the_whole_file_is_read_with_its_metadata(tmp_path):
    path = tmp_path / "rows.parquet"
    many = pa.table({"n": list(range(5000)), "t": [str(i) for i in range(5000)]}).replace_schema_metadata({"k": "v"})
    pq.write_table(many, path, row_group_size=700)
    pq.write_table(ROWS, tmp_path / "neighbour.parquet")
    found = table_of(path)
    assert found.equals(many)
    assert found.schema.metadata == many.schema.metadata
