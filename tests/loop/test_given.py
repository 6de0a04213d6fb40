"""A file of new rows may write the same values in other types than the rows that the model learned from."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import backstay
from backstay.data.images import image_array, pixels_of
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.loop.given import as_kept

TOML = """
version = 1
name = "zones"
[data]
source = "rows.parquet"
target = "y"
[data.columns]
zone = "category"
grade = "category"
[train]
model = "logistic_regression"
[gate]
minimum_n = 20
rules = [ { rule = "beats_controls", margin = 0.9, surely_behind = 0.9 } ]
"""


def rows(n: int = 400) -> pa.Table:
    rng = np.random.default_rng(5)
    zone, grade = rng.integers(0, 6, n), rng.choice([1.5, 2.0, 3.0], n)
    member, price = rng.random(n) < 0.5, np.round(rng.normal(size=n), 2)
    truth = price + (zone % 3 - 1) + member + (grade == 2.0) > 0.8
    return pa.table({"zone": zone, "grade": grade, "member": member, "price": price, "y": np.where(truth, "p", "q")})


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zones")
    pq.write_table(rows(), folder / "rows.parquet")
    (folder / "backstay.toml").write_text(TOML)
    project = backstay.open(folder)
    project.models.run()
    project.releases.promote(reason="first")
    return folder


def chances(folder: Path, table: pa.Table) -> np.ndarray:
    return backstay.open(folder).models.predict(table).table["p(p)"].to_numpy()


def put(name: str, values: object) -> pa.Table:
    table = rows()
    return table.set_column(table.column_names.index(name), name, values)


def others() -> dict[str, pa.Table]:
    """The same rows, their values written otherwise."""
    table = rows()
    return {
        "whole numbers as floats": put("zone", table["zone"].cast(pa.float64())),
        "a category as text": put("zone", table["zone"].cast(pa.string())),
        "a category as a dictionary": put("zone", table["zone"].cast(pa.string()).dictionary_encode()),
        "truth values as numbers": put("member", table["member"].cast(pa.int64())),
        "truth values as floats": put("member", table["member"].cast(pa.int64()).cast(pa.float64())),
        "truth values as words": put("member", pa.array([str(v) for v in table["member"].to_pylist()])),
        "numbers as decimals": put("price", pa.array([Decimal(f"{v:.2f}") for v in table["price"].to_pylist()])),
        "numbers as text": put("price", pa.array([repr(v) for v in table["price"].to_pylist()])),
    }


@pytest.mark.parametrize("how", others())
def test_the_same_values_in_another_type_have_the_same_answers(live: Path, how: str) -> None:
    assert np.abs(chances(live, others()[how]) - chances(live, rows())).max() < 1e-6


@pytest.mark.parametrize("how", list(others()))
def test_a_window_of_rows_in_another_type_is_judged_as_the_same(live: Path, how: str) -> None:
    watched = [backstay.open(live).monitor.examine(table) for table in (rows(), others()[how])]
    told = [[(signal.detector, signal.evidence) for signal in one.latest.signals] for one in watched]
    assert told[0] == told[1]


def test_one_gap_in_a_category_of_whole_numbers_changes_that_row_alone(live: Path) -> None:
    zone = rows()["zone"].to_pylist()
    changed = chances(live, put("zone", pa.array([None, *map(float, zone[1:])]))) - chances(live, rows())
    assert np.abs(changed[1:]).max() < 1e-6
    assert abs(changed[0]) > 1e-3


def test_a_category_of_fractions_is_known_by_the_rows_that_taught_it(live: Path) -> None:
    """Written as 2 by training: the answer to 2.0 is that of 2, and not that of a category never seen."""
    known, unseen = chances(live, rows()), chances(live, put("grade", pa.array(["?"] * 400)))
    two = np.flatnonzero(rows()["grade"].to_numpy() == 2.0)
    assert np.abs(chances(live, rows().take(pa.array(two))) - known[two]).max() < 1e-6
    assert np.abs(chances(live, put("grade", rows()["grade"].cast(pa.string()))) - known).max() < 1e-6
    assert (known[two] - unseen[two]).mean() > 0.05


def test_words_among_numbers_are_refused_by_name(live: Path) -> None:
    with pytest.raises(BackstayError, match="column 'price' is read as number but holds other values"):
        chances(live, put("price", pa.array(["dear"] * 400)))


def test_fractions_where_the_model_had_whole_numbers_stay() -> None:
    schema = Schema((Column("n", ColumnKind.INTEGER),), ("n",))
    table = pa.table({"n": [1.5, 2.0], "left": [1, 2]})
    assert as_kept(table, schema, ("n",)).equals(table)
    assert as_kept(pa.table({"n": [Decimal("1.5")]}), schema, ("n",))["n"].to_pylist() == [1.5]


def test_grey_pictures_are_coloured_ones_of_three_equal_channels() -> None:
    schema = Schema((Column("image", ColumnKind.IMAGE, shape=(2, 2, 3)),), ("image",))
    grey = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    found = as_kept(pa.table({"image": image_array(grey)}), schema, ("image",))
    assert np.array_equal(pixels_of(found["image"]), np.repeat(grey, 3, axis=-1))
    with pytest.raises(BackstayError, match="the schema says"):
        as_kept(pa.table({"image": image_array(grey[:, :1])}), schema, ("image",))


def test_galleries_searches_and_clusters_read_them_so_too(trained) -> None:
    plain = pq.read_table(trained.folder / "orders.parquet").slice(0, 60)
    cents = pc.round(plain["a"], 2)
    plain = plain.set_column(plain.column_names.index("a"), "a", cents)
    written = plain.set_column(
        plain.column_names.index("a"), "a", pa.chunked_array([[Decimal(f"{v:.2f}") for v in cents.to_pylist()]])
    )
    models = trained.open().models
    models.index(written)
    first = models.search(plain, k=1).asked
    assert [found.neighbours[0].cosine for found in first] == pytest.approx([1.0] * 60, abs=1e-5)
    assert [found.neighbours for found in models.search(written, k=1).asked] == [found.neighbours for found in first]
    assert np.allclose(
        models.cluster(rows=written, clusters=2).table["distance"].to_numpy(),
        models.cluster(rows=plain, clusters=2).table["distance"].to_numpy(),
        atol=1e-5,
    )
