"""Comma- and tab-separated text: types inferred over the whole file, a broken row named by its line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from backstay.kernel.errors import BackstayError

LARGEST_BLOCK = 1 << 30
HEADER = 1 << 20
MISSING = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null"]


def read_separated(path: Path, delimiter: str, texts: Sequence[str] = ()) -> pa.Table:
    """Read csv or tsv. Unquoted empty, NA, NaN and NULL fields are missing values; quoted ones are text.

    A csv whose header has no comma, and semicolons or tabs, is separated by those. Between semicolons 1,5 is a number,
    as spreadsheets of half of Europe write it.

    Args:
        texts: columns that are read as they are written, whatever they look like.
    """
    delimiter = _separator(path) if delimiter == "," else delimiter
    table = _read(path, delimiter, texts)
    if delimiter != ";" or not any(pa.types.is_string(kind) for kind in table.schema.types):
        return table
    other = _read(path, delimiter, texts, point=",")
    for place, kind in enumerate(table.schema.types):
        if pa.types.is_string(kind) and pa.types.is_floating(other.schema.types[place]):
            table = table.set_column(place, table.schema.names[place], other.column(place))
    return table


def _separator(path: Path) -> str:
    """What stands between the names of a csv file's header."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline(HEADER)
        fields = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in (",", ";", "\t")}
    except (UnicodeDecodeError, csv.Error):
        return ","  # the reading says what is wrong, and in which line
    return "," if fields[","] > 1 else max(fields, key=lambda mark: fields[mark])


def _read(path: Path, delimiter: str, texts: Sequence[str], point: str = ".") -> pa.Table:
    size = path.stat().st_size
    # One block where that is possible: Arrow infers types from the first block only.
    block = min(max(size + 1, 1 << 20), LARGEST_BLOCK)
    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(use_threads=False, block_size=block),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.string() for name in texts},
                null_values=MISSING,
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                decimal_point=point,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        raise _explain(path, delimiter, error) from error
    # Arrow takes text that is not UTF-8 for bytes.
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise BackstayError(f"{path}, line {_undecodable(path)} is not UTF-8 text", fix="save the file as UTF-8")
    return table


def _explain(path: Path, delimiter: str, error: Exception) -> BackstayError:
    line = _undecodable(path)
    if line:
        return BackstayError(f"{path}, line {line} is not UTF-8 text", fix="save the file as UTF-8")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        try:
            header = next(rows, [])
            before = rows.line_num
            for row in rows:
                first, before = before + 1, rows.line_num
                if row and len(row) != len(header):
                    return BackstayError(
                        f"{path}, line {first} has {len(row)} fields where the header has {len(header)}",
                        fix=f"mend that line; a field that contains {delimiter!r} must stand in double quotes",
                    )
        except csv.Error as broken:
            return BackstayError(f"{path}, line {rows.line_num}: {broken}", fix="mend that line")
    return BackstayError(
        f"{path} cannot be read: {str(error).splitlines()[0]}", fix="check the file's delimiter and quotes"
    )


def _undecodable(path: Path) -> int:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
