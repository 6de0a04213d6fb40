from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data.images import image_array
from backstay.data.schema import conform, infer_schema
from backstay.data.snapshot import load, save
from backstay.kernel.clock import ManualClock
from backstay.kernel.errors import NotFound, Tampered


class Folder:
    """Blobs in a folder, for tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.puts = 0

    def put_file(self, blob_id: str, source: Path) -> Path:
        self.puts += 1
        return Path(shutil.copy(source, self.root / blob_id))

    def path(self, blob_id: str) -> Path:
        if blob_id not in self:
            raise NotFound(f"no blob {blob_id}", fix="save it")
        return self.root / blob_id

    def __contains__(self, blob_id: object) -> bool:
        return (self.root / str(blob_id)).exists()

    def ids(self) -> Iterator[str]:
        return (f.name for f in self.root.iterdir())

    def remove(self, blob_id: str) -> int:
        raise NotImplementedError


CLOCK = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


def test_round_trip_and_once_only(people: pa.Table, tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    schema = infer_schema(people, target="y")
    table = conform(people, schema)
    version = save(table, schema, blobs, clock=CLOCK, source="people.csv")
    assert save(table, schema, blobs, clock=CLOCK, source="people.csv").id == version.id
    assert blobs.puts == 1
    assert version.rows == 600
    assert version.classes == ("no", "yes")
    assert sum(version.counts.values()) == 600
    assert load(version, blobs).equals(table)


def test_images_round_trip(tmp_path: Path) -> None:
    table = pa.table({"image": image_array(np.arange(48, dtype=np.uint8).reshape(4, 2, 2, 3)), "y": [0, 1, 0, 1]})
    schema = infer_schema(table, target="y")
    blobs = Folder(tmp_path)
    version = save(conform(table, schema), schema, blobs, clock=CLOCK, source="x", role="gate")
    assert load(version, blobs).equals(conform(table, schema))
    assert version.role == "gate"


def test_changed_rows_are_noticed(people: pa.Table, tmp_path: Path) -> None:
    blobs = Folder(tmp_path)
    schema = infer_schema(people, target="y")
    version = save(conform(people, schema), schema, blobs, clock=CLOCK, source="x")
    forged = people.set_column(2, "visits", pa.array([9, *people.column("visits").to_pylist()[1:]]))
    pq.write_table(forged, tmp_path / version.blob)
    with pytest.raises(Tampered, match="now hash to"):
        load(version, blobs)
    (tmp_path / version.blob).write_bytes(b"nothing")
    with pytest.raises(Tampered, match="cannot be read"):
        load(version, blobs)
