"""Answering rows of a file: what is logged of them."""

from __future__ import annotations

import pyarrow as pa
import pytest

from backstay.kernel.errors import BackstayError
from backstay.loop.label import live_rows


def without_some(rows: pa.Table, name: str, places: set[int]) -> pa.Table:
    values = [None if i in places else v for i, v in enumerate(rows.column(name).to_pylist())]
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, pa.string()))


def test_rows_without_a_group_are_of_no_common_one(trained):
    rows = trained.log(6, 21, "seed").drop_columns(["y"])
    fresh = rows.set_column(0, "id", pa.array([f"g-{i}" for i in range(6)]))
    trained.open().models.predict(without_some(fresh, "person", {1, 4}), record=True)
    logged = live_rows(trained.open().ws)
    groups = dict(zip(logged.ids.tolist(), logged.groups.tolist(), strict=True))
    assert [groups[f"g-{i}"] is None for i in range(6)] == [False, True, False, False, True, False]
    asked = [{"id": f"g-{i}", "label": "yes"} for i in range(6)]
    trained.open().labels.answer(asked)
    labels = {r.prediction_id: r.group for r in trained.open().ws.catalog.labels("orders", "production")}
    assert labels["g-1"] is None
    assert labels["g-4"] is None
    assert labels["g-0"] is not None


def test_rows_that_are_logged_need_an_id_each(trained):
    rows = trained.log(4, 22, "seed").drop_columns(["y"])
    holed = without_some(rows.set_column(0, "id", pa.array([f"h-{i}" for i in range(4)])), "id", {2})
    with pytest.raises(BackstayError, match="1 of 4 rows have nothing in the column 'id'"):
        trained.open().models.predict(holed, record=True)
    assert trained.open().models.predict(holed).rows == 4
    assert not {"h-0", "missing"} & set(live_rows(trained.open().ws).ids.tolist())
