"""Rows: taking, cutting, joining, and what parts do not share."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st

from backstay.journal.answers import answers
from backstay.journal.entries import Predictions, pack, unpack
from backstay.journal.layout import tag_of
from backstay.journal.parts import from_table, to_table, write_part
from backstay.journal.rows import Rows, first_of_each


def objects(values):
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def rows(ids, *, width=2, **more):
    n = len(ids)
    values = {
        "ids": objects(ids),
        "times": np.datetime64("2026-01-01", "us") + np.arange(n),
        "releases": objects(["r"] * n),
        "predictions": objects(["yes"] * n),
        "scores": np.arange(n * width, dtype=np.float32).reshape(n, width),
    }
    return Rows(**{**values, **more})


def images(n):
    kind = pa.fixed_shape_tensor(pa.uint8(), (2, 2, 1))
    pixels = pa.array(np.arange(n * 4, dtype=np.uint8))
    return pa.ExtensionArray.from_storage(kind, pa.FixedSizeListArray.from_arrays(pixels, 4))


def test_images_survive_taking_joining_and_the_disk(tmp_path):
    made = rows(
        ["a", "b", "c"],
        inputs=pa.table({"image": images(3), "city": ["x", None, "z"]}),
        groups=objects(["g", None, "h"]),
    )
    joined = Rows.concat([made.take(np.array([2, 0])), made.take(np.array([False, True, False]))])
    assert joined.ids.tolist() == ["c", "a", "b"]
    found = from_table(pa.parquet.read_table(write_part(tmp_path, joined)))
    assert to_table(found).equals(to_table(joined))
    assert found.groups.tolist() == ["h", "g", None]
    assert found.inputs.column("image").combine_chunks().to_numpy_ndarray()[0].reshape(-1).tolist() == [8, 9, 10, 11]
    assert isinstance(found.inputs.column("image").type, pa.FixedShapeTensorType)


def test_each_row_keeps_what_it_has():
    bare = rows(["b"], scores=None)
    table = pa.table({"x": [1.0]})
    joined = Rows.concat([rows(["a"], inputs=table, embeddings=np.ones((1, 3), np.float32)), bare, rows(["c"])])
    assert joined.scored.tolist() == [True, False, True]
    assert joined.embedded.tolist() == joined.described.tolist() == [True, False, False]
    assert joined.scores[2].tolist() == [0.0, 1.0]
    assert np.isnan(joined.scores[1]).all()
    assert joined.inputs.to_pylist() == [{"x": 1.0}, {"x": None}, {"x": None}]
    assert joined.whole().ids.tolist() == ["a"]
    again = Rows.concat([joined.take(np.array([1, 2])), joined.take(np.array([0]))])
    assert again.ids.tolist() == ["b", "c", "a"]
    assert again.scored.tolist() == [False, True, True]
    assert again.described.tolist() == [False, False, True]
    assert Rows.concat([bare, bare]).scores is None
    assert len(Rows.concat([])) == len(Rows.none()) == 0
    one, two = rows(["a"], inputs=pa.table({"x": [1.0]})), rows(["b"], inputs=pa.table({"y": ["u"]}))
    assert Rows.concat([one, two]).inputs.to_pylist() == [{"x": 1.0, "y": None}, {"x": None, "y": "u"}]


def test_parts_that_are_alike_are_joined_without_masks():
    joined = Rows.concat([rows(["a"], inputs=pa.table({"x": [1.0]})), rows(["b"], inputs=pa.table({"x": [2.0]}))])
    assert joined.scored is joined.embedded is joined.described is None
    assert joined.whole() is joined


def test_what_a_row_has_not_is_no_fault_of_it_and_what_is_broken_is():
    broken = rows(["b"], scores=np.array([[np.nan, 0.5]], np.float32))
    gone = rows(["g"], scores=np.full((1, 2), np.nan, np.float32))
    joined = Rows.concat([rows(["a"]), broken, gone, rows(["n"], scores=None)])
    assert joined.sound().tolist() == [True, False, False, True]


def test_of_one_release_the_usual_width_counts_and_of_unlike_releases_none():
    many, few = rows(["a", "b"], width=2), rows(["c"], width=3)
    joined = Rows.concat([few, many])
    assert joined.scores.shape == (3, 2)
    assert joined.scored.tolist() == [False, True, True]
    assert Rows.concat([many, rows(["c"], width=3, releases=objects(["s"]))]).scores is None


def test_pictures_beside_rows_without_any():
    joined = Rows.concat([rows(["b"]), rows(["a"], inputs=pa.table({"image": images(1)}))])
    assert joined.described.tolist() == [False, True]
    assert joined.inputs.column("image").null_count == 1


def test_between_is_half_open():
    made = rows(["a", "b", "c"])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert made.between(start, start.replace(microsecond=2)).ids.tolist() == ["a", "b"]


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), max_size=4))
def test_first_of_each_is_the_plain_loop(ids):
    seen, wanted, dropped = set(), [], 0
    for part in ids:
        kept = []
        for i in part:
            if i in seen:
                dropped += 1
            else:
                kept.append(i)
                seen.add(i)
        wanted.append(kept)
    found, count = first_of_each([rows(part) for part in ids])
    assert [part.ids.tolist() for part in found] == wanted
    assert count == dropped


def test_latencies_survive_joining_and_the_disk_and_old_files_have_none(tmp_path):
    timed, old = rows(["a", "b"], latencies=np.array([12.5, np.nan])), rows(["c"])
    joined = Rows.concat([timed, old])
    assert joined.take(np.array([2, 0])).latencies[1] == 12.5
    assert np.isnan(joined.latencies[1:]).all()
    found = from_table(pa.parquet.read_table(write_part(tmp_path, joined)))
    assert found.latencies[0] == 12.5
    assert np.isnan(found.latencies[1:]).all()
    assert from_table(pa.parquet.read_table(write_part(tmp_path, old))).latencies is None


def test_entries_of_before_latencies_were_kept_are_read_and_named_as_before():
    entry = Predictions("m", "e", "r", "x", 0, ["1"], ["yes"])
    assert b"waited" not in pack(entry)
    assert unpack(pack(entry)).waited == 0
    assert answers([entry], None).latencies is None
    both = answers([entry, msgspec.structs.replace(entry, ids=["2", "3"], labels=["yes", "no"], waited=1500)], None)
    assert np.isnan(both.latencies[0])
    assert both.latencies[1:].tolist() == [1.5, 1.5]
    assert tag_of(rows(["a"])) != tag_of(rows(["a"], latencies=np.array([1.0])))
