"""Rows kept under their content id, and read back only if they still have it."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from backstay.data.files import table_of
from backstay.data.identity import identify
from backstay.data.schema import conform
from backstay.data.targets import class_texts
from backstay.kernel.clock import Clock
from backstay.kernel.errors import BackstayError, Tampered
from backstay.kernel.ports import Blobs
from backstay.kernel.records import DataVersion, Schema


def save(
    table: pa.Table,
    schema: Schema,
    blobs: Blobs,
    clock: Clock,
    source: str,
    role: str = "data",
    parents: tuple[str, ...] = (),
) -> DataVersion:
    """Keep conformed rows as Parquet under their content id. The same rows again are not written again."""
    identity = identify(table, schema)
    if identity.id not in blobs:
        with tempfile.TemporaryDirectory(prefix="backstay-") as folder:
            file = Path(folder) / "rows.parquet"
            try:
                pq.write_table(table, file, compression="zstd")
            except OSError as error:
                raise BackstayError(
                    f"the rows cannot be written to {folder} ({error.strerror or error})",
                    fix="free some space, or set TMPDIR",
                ) from error
            blobs.put_file(identity.id, file)
    counts: dict[str, int] = {}
    if schema.target is not None:
        counts = dict(sorted(Counter(class_texts(table.column(schema.target)).tolist()).items()))
    return DataVersion(
        id=identity.id,
        rows=table.num_rows,
        schema=schema,
        blob=identity.id,
        source=source,
        created_at=clock.now(),
        parents=parents,
        role=role,
        classes=tuple(counts),
        counts=counts,
    )


def load(version: DataVersion, blobs: Blobs) -> pa.Table:
    """The rows of a version. Raises Tampered when they no longer hash to its id."""
    path = blobs.path(version.blob)
    try:
        table = conform(table_of(path), version.schema)
    except (pa.ArrowException, OSError, BackstayError) as error:
        raise Tampered(
            f"the rows of {version.id} cannot be read ({error})", fix="restore them from a backup"
        ) from error
    found = identify(table, version.schema).id
    if found != version.id:
        raise Tampered(f"the rows of {version.id} now hash to {found}", fix="restore them from a backup")
    return table
