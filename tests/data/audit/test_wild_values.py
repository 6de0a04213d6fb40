"""Numbers that can hardly be meant are named, and long tails are left alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.data.audit import CHECKS
from backstay.data.audit.subject import Subject
from backstay.kernel.records import Column, ColumnKind, Finding, Schema, Severity


def look(values: object, kind: ColumnKind = ColumnKind.NUMBER) -> list[Finding]:
    table = pa.table({"a": pa.array(values)})
    subject = Subject(table, Schema((Column("a", kind),), ("a",)), {}, "data-1")
    return list(CHECKS["wild_values"](subject))


def normal(**spoilt: float) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=400)
    for place, value in spoilt.items():
        values[int(place[1:])] = value
    return values


def test_one_wild_value() -> None:
    (finding,) = look(normal(r7=1e30))
    assert (finding.severity, finding.count, finding.example_rows) == (Severity.MEDIUM, 1, (7,))
    assert "'a': 1 of 400 values is wild: up to 1e+30 times" in finding.message


def test_infinite_and_wild_values_are_told_apart() -> None:
    endless, wild = look(normal(r3=np.inf, r5=-np.inf, r9=-1e308))
    assert endless.example_rows == (3, 5)
    assert "2 of 400 values are infinite" in endless.message
    assert wild.example_rows == (9,)


@pytest.mark.parametrize(
    "values",
    [
        np.exp(np.random.default_rng(1).normal(0, 2.0, size=5000)),
        np.r_[np.zeros(990), np.arange(1.0, 11.0)],
        np.r_[np.full(20, -999.0), np.random.default_rng(2).normal(size=980)],
        [3.0] * 50,
        [None, float("nan"), None],
        [0.0] * 399 + [1e30],
    ],
)
def test_what_may_be_meant(values: object) -> None:
    assert look(values) == []


def test_great_whole_numbers() -> None:
    assert look(2**60 + np.arange(400) * 2**40, ColumnKind.INTEGER) == []
    (finding,) = look(np.r_[np.arange(400), 2**62], ColumnKind.INTEGER)
    assert finding.example_rows == (400,)
