"""Rows some at a time, so that a file larger than memory can be read: Parquet in record batches, all else whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from backstay.data.images import ENDINGS, OTHERS
from backstay.data.read import read
from backstay.kernel.errors import BackstayError, NotFound

AT_A_TIME = 65_536
BUFFER = 1 << 20
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Batches:
    """A source of rows: Parquet files that are streamed, or a table that is in memory already."""

    names: tuple[str, ...]
    rows: int
    files: tuple[Path, ...] = ()
    table: pa.Table | None = None

    @staticmethod
    def of(source: Any, *, array_name: str = "embedding") -> Batches:
        """A Parquet file or a folder of them (by name, in order), any other source that `read` takes, or an array.

        Args:
            array_name: what the one column of a two-dimensional array of numbers is called.
        """
        if isinstance(source, np.ndarray):
            return _in_memory(_of_array(source, array_name))
        if isinstance(source, (str, Path)):
            path = Path(source)
            files = _parquet_files(path)
            if files:
                return _of_files(files)
            if path.is_dir() and not any(p.suffix.lower() in ENDINGS | OTHERS for p in path.rglob("*")):
                raise BackstayError(
                    f"the folder {path} has no Parquet files", fix="name a Parquet file, or a folder that has some"
                )
        return _in_memory(read(source))

    def __iter__(self) -> Iterator[pa.Table]:
        return self.read()

    def read(self, columns: Sequence[str] | None = None, at_a_time: int = AT_A_TIME) -> Iterator[pa.Table]:
        """The rows in order, at most `at_a_time` in each table, in these columns."""
        if self.table is not None:
            table = self.table if columns is None else self.table.select(list(columns))
            for start in range(0, table.num_rows, at_a_time):
                yield table.slice(start, at_a_time)
            return
        for path in self.files:
            # What pyarrow fetches ahead it keeps until the file is closed: all of it, in the end.
            with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER) as file:
                wanted = None if columns is None else list(columns)
                for batch in file.iter_batches(at_a_time, columns=wanted, use_threads=False):
                    if batch.num_rows:
                        yield pa.Table.from_batches([batch])


def _in_memory(table: pa.Table) -> Batches:
    return Batches(tuple(table.column_names), table.num_rows, table=table)


def _of_array(values: np.ndarray[Any, Any], name: str) -> pa.Table:
    if values.ndim != 2 or values.dtype.kind not in "fiu" or values.size == 0:
        raise BackstayError(
            f"an array of shape {values.shape} and type {values.dtype}",
            fix="give numbers [rows, dimensions], or a frame",
        )
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.table({name: pa.FixedSizeListArray.from_arrays(flat, values.shape[1])})


def _parquet_files(path: Path) -> tuple[Path, ...]:
    if path.is_dir():
        return tuple(sorted(p for p in path.rglob("*") if p.suffix.lower() in PARQUET and p.is_file()))
    return (path,) if path.suffix.lower() in PARQUET else ()


def _of_files(files: tuple[Path, ...]) -> Batches:
    names: tuple[str, ...] = ()
    rows = 0
    for path in files:
        if not path.exists():
            raise NotFound(f"there is no file {path}", fix="check the path and the folder that it is relative to")
        try:
            head = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise BackstayError(f"{path} cannot be read as Parquet", fix="write it again, or name another") from error
        with head:
            found = tuple(head.schema_arrow.names)
            if names and set(found) != set(names):
                odd = sorted(set(found) ^ set(names))[0]
                raise BackstayError(
                    f"{path} and {files[0].name} differ in the column {odd!r}", fix="give files with the same columns"
                )
            names, rows = names or found, rows + head.metadata.num_rows
    if rows == 0:
        raise BackstayError(f"{files[0]} has no rows", fix="give at least one row")
    return Batches(names, rows, files=files)
