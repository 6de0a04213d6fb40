"""Numbers that a file writes as text are told of, and codes are left alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from backstay.data.audit import CHECKS
from backstay.data.audit.subject import Subject
from backstay.data.numbers_as_text import written_numbers
from backstay.data.project_text import minded
from backstay.data.proposal import propose
from backstay.data.schema import conform, infer_schema
from backstay.kernel.records import Severity

DRAWN = np.random.default_rng(0).normal(size=400).round(2)


@pytest.mark.parametrize(
    ("values", "whole", "plain"),
    [
        ([f"{v:.2f}".replace(".", ",") for v in DRAWN], False, False),
        ([f"{v:.2f}" for v in DRAWN], False, True),
        ([f"${1000 + abs(v):,.2f}" for v in DRAWN], False, False),
        ([f"{1234.5 + i:,.2f}".translate(str.maketrans(",.", ".,")) for i in range(400)], False, False),
        ([f"{abs(v):.1f} %" for v in DRAWN], False, False),
        ([str(i % 40) for i in range(400)], True, True),
        (["n/a", *("1.5" for _ in range(399))], False, False),
    ],
)
def test_numbers_are_seen(values: list[str], whole: bool, plain: bool) -> None:
    for column in (pa.chunked_array([values]), pa.chunked_array([values]).dictionary_encode()):
        found = written_numbers(column)
        assert found is not None
        assert (found.whole, found.plain) == (whole, plain)


@pytest.mark.parametrize(
    "values",
    [
        [f"{i:05d}" for i in range(400)],
        [str(i % 5) for i in range(400)],
        [f"1.2.{i}" for i in range(400)],
        ["1,5"] * 300 + ["red"] * 100,
        ["", " "] * 20,
        [f"2024-01-{i % 28 + 1}" for i in range(400)],
    ],
)
def test_codes_and_words_are_not(values: list[str]) -> None:
    assert written_numbers(pa.chunked_array([values])) is None


def put(tmp_path, **columns: object):
    n = 400
    table = pa.table({"b": np.arange(n) % 7 / 7, **columns, "y": np.where(DRAWN > 0, "up", "down").tolist()})
    pq.write_table(table, tmp_path / "rows.parquet")
    return table


def test_the_project_file_and_the_audit_say_so(tmp_path) -> None:
    commas = [f"{v:.1f}".replace(".", ",") for v in DRAWN]
    table = put(tmp_path, a=commas, code=[str(i % 40) for i in range(400)])
    said = minded(propose(tmp_path / "rows.parquet", target="y"))
    assert any(line.startswith("a is text and reads as numbers") and "plain numbers" in line for line in said)
    schema = infer_schema(table, target="y")
    rows = conform(table, schema)
    found = {f.columns[0]: f for f in CHECKS["numbers_as_text"](Subject(rows, schema, {}, "data-1"))}
    assert {name: f.severity for name, f in found.items()} == {"a": Severity.MEDIUM, "code": Severity.LOW}
    assert "read as a category, and its values as numbers" in found["a"].message
    declared = infer_schema(table, target="y", kinds={"code": "number"})
    rows = conform(table, declared)
    assert rows["code"].type == pa.float64()
    assert [f.columns[0] for f in CHECKS["numbers_as_text"](Subject(rows, declared, {}, "data-1"))] == ["a"]
