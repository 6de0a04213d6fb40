from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.schema import conform, infer_schema
from backstay.data.targets import class_texts
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import ColumnKind


def test_kinds_roles_and_features(people: pa.Table) -> None:
    table = people.append_column(
        "note", pa.array([f"a long remark about row number {i} of this table" for i in range(600)])
    )
    table = table.append_column("who", pa.array([i // 3 for i in range(600)])).append_column(
        "v", pa.array([[1.0]] * 600)
    )
    schema = infer_schema(table, target="y", group="who", kinds={"visits": "category"}, ignore=["member"])
    assert {c.name: c.kind.value for c in schema.columns} == {
        "age": "number", "job": "category", "visits": "category", "y": "category", "note": "text", "who": "category",
        "v": "vector",
    }  # fmt: skip
    assert schema.features == ("age", "job", "visits")
    assert conform(table, schema).column("visits").type == pa.string()


def test_conform_joins_what_came_by_different_ways(people: pa.Table) -> None:
    schema = infer_schema(people, target="y")
    as_text = pa.table({n: people.column(n).cast(pa.string()) for n in people.column_names})
    coded = people.set_column(1, "job", people.column("job").dictionary_encode())
    plain = conform(people, schema)
    assert conform(coded, schema).equals(plain)
    assert conform(as_text, schema).equals(plain)
    pa.concat_tables([plain, conform(as_text, schema)])


def test_whole_floats_are_the_same_category() -> None:
    table = pa.table({"x": pa.array([1.0, None, 2.0]), "y": ["a", "b", "a"]})
    schema = infer_schema(table, target="y", kinds={"x": "category"})
    assert conform(table, schema).column("x").to_pylist() == ["1", None, "2"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (["a"] * 40, "one class (a)"),
        ([None] * 40, "no values"),
        ([i / 7 for i in range(40)], "regression"),
        (list(range(40)), "hardly two rows a class"),
    ],
)
def test_targets_that_are_no_classification(values: list[object], says: str) -> None:
    with pytest.raises(BackstayError) as caught:
        infer_schema(pa.table({"x": list(range(40)), "y": values}), target="y")
    assert says in str(caught.value)


def test_missing_columns_name_the_nearest(people: pa.Table) -> None:
    with pytest.raises(BackstayError, match="did you mean 'age'"):
        infer_schema(people, target="y", features=["agee"])
    with pytest.raises(BackstayError, match=r"data\.target names the column 'yy'"):
        infer_schema(people, target="yy")
    with pytest.raises(BackstayError, match="which is not there"):
        conform(people.drop_columns(["age"]), infer_schema(people, target="y"))
    with pytest.raises(BackstayError, match="two roles"):
        infer_schema(people, target="y", group="y")
    with pytest.raises(BackstayError, match="among the features"):
        infer_schema(people, target="y", features=["y"])


def test_values_that_do_not_fit(people: pa.Table) -> None:
    schema = infer_schema(people, target="y")
    wrong = people.set_column(2, "visits", pa.array(["many"] * 600))
    with pytest.raises(BackstayError, match="read as integer"):
        conform(wrong, schema)
    holes = people.set_column(4, "y", pa.array(["yes", None] * 300))
    with pytest.raises(BackstayError, match="missing in 300 rows, first in row 2"):
        conform(holes, schema)


def test_labels_as_text() -> None:
    assert class_texts(pa.chunked_array([[True, False]])).tolist() == ["true", "false"]
    assert class_texts(pa.chunked_array([pa.array([1.0, 2.5])])).tolist() == ["1", "2.5"]
    assert class_texts(pa.chunked_array([pa.array(["b", None]).dictionary_encode()])).tolist() == ["b", "missing"]
    assert class_texts(pa.chunked_array([pa.array(np.array([3, 4], np.uint8))])).tolist() == ["3", "4"]


def test_kind_values_are_the_settings_words() -> None:
    assert {k.value for k in ColumnKind} >= {"number", "integer", "category", "text", "boolean", "time", "image"}


def test_hashes_beyond_all_integers_are_names() -> None:
    hashes = [2**63 + i % 3 for i in range(30)]
    table = pa.table({"h": pa.array(hashes, pa.uint64()), "few": pa.array([5] * 30, pa.uint64()), "y": ["a", "b"] * 15})
    schema = infer_schema(table, target="y")
    assert [schema.column(n).kind for n in ("h", "few")] == [ColumnKind.CATEGORY, ColumnKind.INTEGER]
    assert conform(table, schema)["h"].to_pylist() == [str(h) for h in hashes]
