from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.parts import part_column
from backstay.data.schema import conform, infer_schema
from backstay.data.split import deal, split
from backstay.kernel.errors import BackstayError
from backstay.settings import SplitSettings

SHARES = SplitSettings()


def whole(parts: dict[str, np.ndarray], rows: int) -> None:
    assert list(parts) == ["train", "tune", "gate"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(rows))


def table_of(n: int, **more: object) -> pa.Table:
    rng = np.random.default_rng(3)
    return pa.table({"x": rng.normal(size=4000)[:n], "y": (["a", "b"] * 2000)[:n], **more})


def test_shares_and_appending_moves_nothing() -> None:
    big, small = table_of(4000), table_of(2500)
    schema = infer_schema(big, target="y")
    all_parts, first = split(conform(big, schema), schema, SHARES), split(conform(small, schema), schema, SHARES)
    whole(all_parts, 4000)
    for name, share in (("train", 0.6), ("tune", 0.15), ("gate", 0.25)):
        assert abs(len(all_parts[name]) / 4000 - share) < 0.03
        assert [r for r in all_parts[name] if r < 2500] == first[name].tolist()


def test_groups_and_equal_rows_stay_together() -> None:
    table = table_of(3000, who=[f"p{i % 150}" if i % 7 else None for i in range(3000)])
    schema = infer_schema(table, target="y", group="who")
    parts = split(conform(table, schema), schema, SHARES)
    whole(parts, 3000)
    sides = [set(table.column("who").take(pa.array(p)).drop_null().to_pylist()) for p in parts.values()]
    assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
    plain = table_of(1000)
    schema = infer_schema(plain, target="y")
    parts = split(conform(pa.concat_tables([plain, plain]), schema), schema, SHARES)
    for rows in parts.values():
        assert {r % 1000 for r in rows.tolist() if r < 1000} == {r % 1000 for r in rows.tolist() if r >= 1000}


def test_a_group_stays_together_where_rows_have_ids_too_and_rows_without_one_are_on_their_own() -> None:
    who = [f"p{i % 60}" if i < 1200 else None for i in range(2400)]
    table = table_of(2400, key=[f"k{i}" for i in range(2400)], who=who)
    schema = infer_schema(table, target="y", id="key", group="who")
    parts = split(conform(table, schema), schema, SHARES)
    sides = [{who[r] for r in rows.tolist() if r < 1200} for rows in parts.values()]
    assert sum(map(len, sides)) == len(set().union(*sides)) == 60
    alone = [sum(r >= 1200 for r in rows.tolist()) / 1200 for rows in parts.values()]
    assert alone == pytest.approx([0.6, 0.15, 0.25], abs=0.05)


def test_an_official_split_is_honoured() -> None:
    part = ["train"] * 800 + ["test"] * 200
    table = table_of(1000, part=part)
    schema = infer_schema(table, target="y")
    assert "part" not in schema.features
    parts = split(conform(table, schema), schema, SHARES)
    whole(parts, 1000)
    assert parts["gate"].tolist() == list(range(800, 1000))
    assert abs(len(parts["tune"]) / 800 - 0.2) < 0.05
    three = table_of(1000, split=["train"] * 600 + ["valid"] * 150 + ["test"] * 250)
    schema = infer_schema(three, target="y")
    assert [len(p) for p in split(conform(three, schema), schema, SHARES).values()] == [600, 150, 250]


@pytest.mark.parametrize("values", [["left", "right"], ["train", "other"], [1, 2], ["train", None]])
def test_other_columns_named_part_are_ordinary(values: list[object]) -> None:
    assert part_column(pa.table({"part": values * 10})) is None


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_an_official_split_in_capitals_is_one(kind: pa.DataType) -> None:
    part = pa.array(["TRAIN"] * 600 + ["Val "] * 150 + ["Test"] * 250).cast(kind)
    table = table_of(1000, part=part)
    schema = infer_schema(table, target="y")
    assert "part" not in schema.features
    assert [len(p) for p in split(conform(table, schema), schema, SHARES).values()] == [600, 150, 250]


@pytest.mark.parametrize(("odd", "told"), [("holdout", "'holdout'"), (None, "nothing"), ("", "nothing")])
def test_an_official_split_of_some_rows_only_is_refused(odd: str | None, told: str) -> None:
    """Dealt by hash instead, its test rows would be learned from."""
    table = table_of(1000, split=["train"] * 600 + [odd] * 150 + ["test"] * 250)
    schema = infer_schema(table, target="y")
    with pytest.raises(BackstayError, match=f"'split' says train and test, and in 150 rows {told}") as caught:
        split(conform(table, schema), schema, SHARES)
    assert "data.ignore" in caught.value.fix
    without = infer_schema(table, target="y", ignore=["split"])
    whole(split(conform(table, without), without, SHARES), 1000)


def test_by_time_the_gate_is_youngest() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    hours = np.random.default_rng(0).permutation(1000) // 4
    table = table_of(1000, t=[start + timedelta(hours=int(h)) for h in hours])
    schema = infer_schema(table, target="y", time="t")
    parts = split(conform(table, schema), schema, SplitSettings(by="time"))
    whole(parts, 1000)
    assert hours[parts["train"]].max() < hours[parts["tune"]].min()
    assert hours[parts["tune"]].max() < hours[parts["gate"]].min()
    with pytest.raises(BackstayError, match=r"there is no data\.time"):
        split(conform(table_of(50), s := infer_schema(table_of(50), target="y")), s, SplitSettings(by="time"))


def test_too_few_rows() -> None:
    table = table_of(3)
    schema = infer_schema(table, target="y")
    with pytest.raises(BackstayError, match="too few different rows"):
        split(conform(table, schema), schema, SHARES)


@pytest.mark.parametrize("what", ["id", "group"])
def test_rows_that_are_all_called_alike_are_not_too_few(what: str) -> None:
    table = table_of(300)
    place = pa.array(["same"] * 300)
    table = table.append_column("k", place)
    schema = infer_schema(table, target="y", **{what: "k"})
    with pytest.raises(BackstayError, match=f"all 300 rows have the same {what} in the column 'k': 'same'") as caught:
        split(conform(table, schema), schema, SHARES)
    assert f"data.{what}" in caught.value.fix


def test_a_few_rows_are_dealt_in_two_by_the_same_places() -> None:
    table = table_of(40, who=[f"p{i // 4}" for i in range(40)])
    schema = infer_schema(table, target="y", group="who")
    parts = deal(conform(table, schema), schema, 0.5)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(40))
    assert (len(parts["train"]), len(parts["gate"])) == (20, 20)
    people = [{int(r) // 4 for r in parts[part]} for part in ("train", "gate")]
    assert not people[0] & people[1]
    # Whoever falls to the gate of a project's own split falls to it here before anybody else.
    official = split(conform(table, schema), schema, SHARES)["gate"]
    assert {int(r) // 4 for r in official} <= people[1]
    few = deal(conform(table, schema), schema, 0.05)
    assert len(few["gate"]) == 4
