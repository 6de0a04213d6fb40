"""Any supported source of rows to one representation: a `pyarrow.Table`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa

from backstay.data.files import read_arrow, read_json_lines, read_parquet
from backstay.data.images import ENDINGS, Size, read_folder, read_npz, read_picture
from backstay.data.pickles import refuse_pickle
from backstay.data.row_names import uuids_as_text
from backstay.data.separated import read_separated
from backstay.data.zones import localise
from backstay.kernel.errors import BackstayError, NotFound

SUFFIXES = ".csv, .tsv, .parquet, .arrow, .feather, .jsonl, .npz, or a folder with one subfolder of images per class"

CONVERTED = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), "save the sheet as .csv from the spreadsheet"),
    **dict.fromkeys(
        (".gz", ".bz2", ".xz", ".zst", ".zip"), "unpack it first, or keep it as .parquet, which is compressed"
    ),
}
"""Endings of files that people have, and how they become one that is read."""


def read(source: Any, *, time_zone: str | None = None, image_size: Size | None = None) -> pa.Table:
    """Rows of a file, a folder per class, or a frame.

    Args:
        source: a path (csv, tsv, parquet, arrow/feather, jsonl, npz, folder per class, one picture), or an object that
            speaks the Arrow C stream (pyarrow, polars, pandas, duckdb).
        time_zone: IANA name of the zone that naive times are in. Without it they stay naive, and `conform`
            refuses them in a time column.
        image_size: height and width that pictures of a folder, or one alone, are brought to.

    Raises BackstayError with the file, the place and a fix. Nothing is ever unpickled.
    """
    table = _read_path(Path(source), image_size) if isinstance(source, (str, Path)) else _read_frame(source)
    table = uuids_as_text(table)
    _check(table, source)
    return table if time_zone is None else localise(table, time_zone)


def _read_path(path: Path, image_size: Size | None) -> pa.Table:
    if path.is_dir():
        return read_folder(path, image_size)
    if not path.exists():
        raise NotFound(f"there is no file {path}", fix="check the path and the folder that it is relative to")
    refuse_pickle(path)
    if path.stat().st_size == 0:
        raise BackstayError(f"{path} is empty", fix="give a file with a header and rows")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return read_separated(path, "\t" if suffix == ".tsv" else ",")
    if suffix in (".parquet", ".pq"):
        return read_parquet(path)
    if suffix in (".arrow", ".feather", ".ipc"):
        return read_arrow(path)
    if suffix in (".jsonl", ".ndjson"):
        return read_json_lines(path)
    if suffix == ".npz":
        return read_npz(path)
    if suffix in ENDINGS:
        return read_picture(path, image_size)
    advice = f"{CONVERTED[suffix]}; what is read: {SUFFIXES}" if suffix in CONVERTED else f"give {SUFFIXES}"
    raise BackstayError(f"{path} has the ending {suffix or 'of no kind'!r}, which is not read", fix=advice)


def _read_frame(source: Any) -> pa.Table:
    if isinstance(source, pa.Table):
        return source
    if hasattr(source, "__arrow_c_stream__"):
        try:
            table = pa.table(source)
        except (ValueError, TypeError, NotImplementedError) as unread:  # mixed kinds, a name twice, one column alone
            raise BackstayError(
                f"the {type(source).__name__} cannot be read as rows: {unread}",
                fix="give a frame with one kind of value in each column and no column name twice",
            ) from unread
        return _worded(table.drop_columns([n for n in table.column_names if n.startswith("__index_level_")]))
    raise BackstayError(
        f"rows cannot be read from a {type(source).__name__}", fix="give a path, or a pyarrow, polars or pandas frame"
    )


def _worded(table: pa.Table) -> pa.Table:
    """Categories that Arrow has no type for (pandas' intervals) are put into words: they are categories all the same.

    >>> import pandas as pd
    >>> _worded(pa.table(pd.DataFrame({"age": pd.cut([3.0, 30.0], [0, 18, 99])}))).column("age").to_pylist()
    ['left: 0, right: 18', 'left: 18, right: 99']
    """
    for place, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and isinstance(field.type.value_type, pa.BaseExtensionType):
            coded = table.column(place).combine_chunks()
            words = pa.array([_words(value) for value in coded.dictionary.storage.to_pylist()], pa.string())
            table = table.set_column(place, field.name, pa.DictionaryArray.from_arrays(coded.indices, words))
    return table


def _words(value: Any) -> str:
    return ", ".join(f"{k}: {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _check(table: pa.Table, source: Any) -> None:
    where = str(source) if isinstance(source, (str, Path)) else "the frame"
    if table.num_columns == 0 or table.num_rows == 0:
        raise BackstayError(f"{where} has no rows", fix="give at least one row beneath the header")
    repeated = [name for name, n in Counter(table.column_names).items() if n > 1]
    if repeated:
        raise BackstayError(
            f"{where} has {Counter(table.column_names)[repeated[0]]} columns named {repeated[0]!r}",
            fix="give each column a name of its own",
        )
    if any(not name.strip() for name in table.column_names):
        place = next(i for i, n in enumerate(table.column_names, 1) if not n.strip())
        raise BackstayError(
            f"{where}: column {place} has no name",
            fix="name it in the header, or remove it (an index that pandas wrote: `to_csv(..., index=False)`)",
        )
