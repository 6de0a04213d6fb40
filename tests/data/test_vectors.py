from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data.audit import audit, overlap
from backstay.data.fingerprints import fingerprints
from backstay.data.identity import identify
from backstay.data.read import read
from backstay.data.schema import conform, infer_schema
from backstay.data.vectors import vectors_of
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind

RNG = np.random.default_rng(0)
WIDE = RNG.normal(size=(60, 5)).astype(np.float32)
LABELS = ["a", "b"] * 30


def table_of(kind: pa.DataType) -> pa.Table:
    return pa.table({"v": pa.array(WIDE.tolist(), kind), "y": LABELS})


def test_one_identity_whatever_the_file(tmp_path: Path) -> None:
    plain = table_of(pa.list_(pa.float32()))
    pq.write_table(plain, tmp_path / "v.parquet")
    pq.write_table(table_of(pa.list_(pa.float32(), 5)), tmp_path / "fixed.parquet")
    np.savez(tmp_path / "v.npz", x=WIDE, y=np.array(LABELS))
    lines = [json.dumps({"v": row, "y": y}) for row, y in zip(WIDE.astype(float).tolist(), LABELS, strict=True)]
    (tmp_path / "v.jsonl").write_text("\n".join(lines))
    ids = set()
    for name in ("v.parquet", "fixed.parquet", "v.jsonl", "v.npz"):
        table = read(tmp_path / name).rename_columns(["v", "y"])
        schema = infer_schema(table, target="y")
        assert schema.features == ("v",)
        assert schema.column("v").kind is ColumnKind.VECTOR
        assert schema.column("v").shape == (5,)
        rows = conform(table, schema)
        assert np.array_equal(vectors_of(rows.column("v")), WIDE)
        ids.add(identify(rows, schema).id)
    assert len(ids) == 1
    other = WIDE.copy()
    other[59, 4] = np.nextafter(other[59, 4], np.float32(9))
    changed = conform(pa.table({"v": pa.array(other.tolist()), "y": LABELS}), schema)
    assert identify(changed, schema).id not in ids
    prints = fingerprints(rows, schema, ("v",))
    assert (fingerprints(changed, schema, ("v",)) != prints).tolist() == [False] * 59 + [True]


def test_a_slice_of_rows_keeps_its_vectors() -> None:
    table = table_of(pa.list_(pa.float64()))
    schema = infer_schema(table, target="y")
    rows = conform(table, schema)
    assert np.array_equal(vectors_of(rows.column("v").slice(7, 11)), WIDE[7:18])
    whole = conform(pa.concat_tables([rows.slice(7, 11), rows.slice(0, 7)]), schema)
    assert np.array_equal(vectors_of(whole.column("v")), np.concatenate([WIDE[7:18], WIDE[:7]]))
    assert identify(rows.slice(7, 11), schema).id == identify(rows.take(list(range(7, 18))), schema).id


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (3, [1.0, 2.0], r"row 4 of column 'v' has 2 numbers where 5 are usual"),
        (0, None, r"row 1 of column 'v' has no vector"),
        (59, [1.0, 2.0, 3.0, 4.0, float("nan")], r"row 60 of column 'v' holds a null, NaN or infinity"),
        (10, [1.0, None, 3.0, 4.0, 5.0], r"row 11 of column 'v' holds a null, NaN or infinity"),
        (10, [1.0, 1e300, 3.0, 4.0, 5.0], r"row 11 of column 'v' holds a null, NaN or infinity"),
    ],
)
def test_what_is_refused_says_the_row(place: int, value: list[float] | None, told: str) -> None:
    values: list[list[float] | None] = WIDE.astype(float).tolist()
    values[place] = value
    table = pa.table({"v": values, "y": LABELS})
    with pytest.raises(BackstayError, match=told):
        conform(table, infer_schema(table, target="y"))


def test_a_vector_is_no_feature_beside_others_and_text_no_vector() -> None:
    table = table_of(pa.list_(pa.float32())).append_column("n", pa.array(np.arange(60.0)))
    table = table.append_column("words", pa.array([["x"]] * 60))
    schema = infer_schema(table, target="y")
    assert schema.features == ("n",)
    assert schema.names == ("v", "y", "n")


def test_what_no_model_reads_may_be_missing() -> None:
    values: list[list[float] | None] = WIDE.astype(float).tolist()
    values[4] = None
    table = pa.table({"v": values, "n": np.arange(60.0), "y": LABELS})
    schema = infer_schema(table, target="y")
    rows = conform(table, schema)
    assert rows.column("v").null_count == 1
    assert rows.column("v").to_pylist()[4] is None
    assert np.array_equal(vectors_of(rows.column("v").slice(5)), WIDE[5:])
    other = [*values[:4], values[5], None, *values[6:]]
    moved = conform(pa.table({"v": other, "n": np.arange(60.0), "y": LABELS}), schema)
    assert identify(rows, schema).id != identify(moved, schema).id
    assert identify(rows, schema).id == identify(conform(rows, schema), schema).id
    without = conform(pa.table({"v": pa.nulls(60, pa.string()), "n": np.arange(60.0), "y": LABELS}), schema)
    assert without.column("v").null_count == 60


def test_audits_take_vectors() -> None:
    copies = np.concatenate([WIDE, WIDE[:30]])
    table = pa.table({"v": pa.array(copies.tolist()), "y": LABELS + LABELS[:30]})
    schema = infer_schema(table, target="y")
    rows = conform(table, schema)
    parts = {"train": np.arange(60), "gate": np.arange(60, 90)}
    checks = {f.check for f in audit(rows, schema, parts, data_id="d")}
    assert "duplicates" in checks
    assert {f.check for f in overlap(rows.slice(0, 60), rows.slice(60), schema, data_id="d")} == {"overlap"}
