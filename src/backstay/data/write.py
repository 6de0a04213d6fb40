"""Rows out to a file, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as feather
import pyarrow.parquet as pq

from backstay.kernel.disk import synchronise
from backstay.kernel.errors import BackstayError
from backstay.kernel.ids import event_id

ENDINGS = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".jsonl")


def check_place(path: Path) -> None:
    """Refuse a place where `write_table` could not put rows, before the work that makes them.

    Raises:
        BackstayError: the ending is none that is written, or the place is a folder.
    """
    if path.is_dir():
        raise BackstayError(f"{path} is a folder", fix=f"name a file in it, for example {path / 'rows.parquet'}")
    if path.suffix.lower() not in ENDINGS:
        raise BackstayError(
            f"{path} has the ending {path.suffix!r}, which is not written",
            fix="end it in .csv, .tsv, .parquet, .arrow or .jsonl",
        )


def write_table(table: pa.Table, path: Path) -> None:
    """Write csv, tsv, parquet, arrow/feather or jsonl, by the ending. Images go to parquet and arrow only."""
    check_place(path)
    suffix = path.suffix.lower()
    images = [f.name for f in table.schema if isinstance(f.type, pa.FixedShapeTensorType)]
    if images and suffix in (".csv", ".tsv", ".jsonl"):
        raise BackstayError(
            f"the images in {images[0]!r} cannot be written as {suffix}", fix="end the file in .parquet"
        )
    fresh = path.with_name(f".{path.name}.{event_id('tmp')}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(table, fresh, suffix)
        synchronise(fresh)
        fresh.replace(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        fresh.unlink(missing_ok=True)
        raise BackstayError(
            f"these rows cannot be written as {suffix} ({str(error).splitlines()[0]})", fix="end the file in .parquet"
        ) from error
    except OSError as error:
        if path.parent.is_dir():
            fresh.unlink(missing_ok=True)
        raise BackstayError(
            f"{path} cannot be written ({error.strerror or error})", fix="choose another place, or free some space"
        ) from error


def _write(table: pa.Table, path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pq.write_table(table, path, compression="zstd")
    elif suffix in (".arrow", ".feather"):
        feather.write_feather(table, str(path), compression="uncompressed")
    elif suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False, default=str) for row in table.to_pylist())
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    else:
        pacsv.write_csv(table, path, write_options=pacsv.WriteOptions(delimiter="\t" if suffix == ".tsv" else ","))
