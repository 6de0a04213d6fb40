"""Columnar files and JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.json as pajson
import pyarrow.parquet as pq

from backstay.kernel.errors import BackstayError


def read_parquet(path: Path) -> pa.Table:
    """A Parquet file. One file only: its neighbours are not taken for partitions."""
    try:
        return _without_index(table_of(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(path, "Parquet", error) from error


def table_of(path: Path) -> pa.Table:
    """All rows of one Parquet file, with its metadata.

    Arrow opens it by itself: of a file object of Python's its threads keep pieces after the rows are there, and one
    that lets go of them while the interpreter ends brings the whole process down.
    """
    with pq.ParquetFile(path, pre_buffer=False) as file:
        table: pa.Table = file.read()
    return table


def read_arrow(path: Path) -> pa.Table:
    """An Arrow IPC file (Feather 2) or stream."""
    try:
        return _without_index(feather.read_table(path, memory_map=False))
    except (pa.ArrowInvalid, OSError):
        try:
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                return _without_index(stream.read_all())
        except (pa.ArrowInvalid, OSError) as error:
            raise _unreadable(path, "Arrow", error) from error


def read_json_lines(path: Path) -> pa.Table:
    """One JSON object a line."""
    size = path.stat().st_size
    try:
        options = pajson.ReadOptions(use_threads=False, block_size=min(max(size + 1, 1 << 20), 1 << 30))
        return pajson.read_json(path, read_options=options)
    except (pa.ArrowInvalid, OSError) as error:
        line, why = _bad_line(path)
        place = f"{path}, line {line}: {why}" if line else f"{path}: {_first_line(error)}"
        raise BackstayError(place, fix="give one JSON object a line, each key with one type throughout") from error


def _bad_line(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except ValueError as error:
                return number, f"not JSON ({error})"
            if not isinstance(value, dict):
                return number, f"a JSON {type(value).__name__} where an object belongs"
    return 0, ""


def _without_index(table: pa.Table) -> pa.Table:
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index).replace_schema_metadata(None)


def _unreadable(path: Path, kind: str, error: Exception) -> BackstayError:
    return BackstayError(
        f"{path} cannot be read as {kind} ({_first_line(error)})",
        fix="check that it was written to its end, and that its ending says what it is",
    )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
