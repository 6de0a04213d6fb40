"""A training file whose ids and groups are numbers, and traffic that is named by text: one project all the same."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data import schema as schemas
from backstay.kernel.records import ColumnKind, Schema

from .conftest import START, TOML, Place, orders

RECIPE = TOML.replace("[train]", '[train]\nmodel = "logistic_regression"')


def named(rows: pa.Table, ids: Any, persons: Any) -> pa.Table:
    rows = rows.set_column(rows.column_names.index("id"), "id", pa.array(ids))
    return rows.set_column(rows.column_names.index("person"), "person", pa.array(persons))


def learned(folder: Any, ids: Any, persons: Any) -> Place:
    place = Place(folder, START)
    (folder / "backstay.toml").write_text(RECIPE)
    pq.write_table(named(orders(300, 0), ids, persons), folder / "orders.parquet")
    project = place.open()
    project.models.run()
    project.releases.promote(reason="the first")
    return place


def lived(place: Place) -> None:
    """Traffic named by whole numbers of known persons, by text, and by the server; all of it labelled."""
    project = place.open()
    live = [
        named(orders(60, 1), list(range(1000, 1060)), [i // 3 for i in range(60)]),
        named(orders(60, 2), [f"p-{i}" for i in range(60)], [f"new-{i // 3}" for i in range(60)]),
        named(orders(60, 3), [2000.0 + i for i in range(60)], [float(20 + i // 3) for i in range(60)]),
    ]
    for rows in live:
        place.clock.advance(timedelta(days=1))
        project = place.open()
        given = project.models.predict(rows.drop_columns(["y"]), record=True).table
        answers = zip(given["id"].to_pylist(), rows["y"].to_pylist(), strict=True)
        project.labels.answer([{"id": i, "label": y} for i, y in answers])


def check(place: Place) -> None:
    project = place.open()
    offered = project.models.retrain()
    ours, schema = project.ws.rows_of(offered.model.data_id)
    theirs, _ = project.ws.rows_of(offered.verdict.data_id)
    assert {schema.column(n).kind for n in ("id", "person")} == {ColumnKind.CATEGORY}
    for name in ("id", "person"):
        assert set(ours[name].to_pylist()).isdisjoint(theirs[name].to_pylist())
    ids = set(ours["id"].to_pylist()) | set(theirs["id"].to_pylist())
    assert {str(1000 + i) for i in range(60)} & ids
    assert {f"p-{i}" for i in range(60)} & ids
    assert {str(2000 + i) for i in range(60)} & ids
    # Persons of the first file come again in the traffic, by the same names.
    assert {str(i) for i in range(40)} & set(theirs["person"].to_pylist())


def test_retraining_ends_whatever_the_ids_are(tmp_path) -> None:
    place = learned(tmp_path, list(range(300)), [i // 3 for i in range(300)])
    lived(place)
    check(place)


def test_so_it_does_in_a_project_that_kept_numbers(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def as_before(schema: Schema) -> Schema:
        return schema

    with monkeypatch.context() as before:
        before.setattr(schemas, "with_text_names", as_before)
        before.setattr("backstay.loop.workspace.with_text_names", as_before)
        place = learned(tmp_path, list(range(300)), [float(i // 3) for i in range(300)])
    project = place.open()
    kept = project.ws.data_version(project.releases.champion().reference_id).schema
    assert [kept.column(n).kind for n in ("id", "person")] == [ColumnKind.INTEGER, ColumnKind.NUMBER]
    lived(place)
    check(place)
