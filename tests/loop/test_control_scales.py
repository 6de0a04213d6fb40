"""What a control answers to a row does not hang on the other rows that are judged: scales are of the training rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from backstay.kernel.records import Column, ColumnKind, Schema
from backstay.loop import class_gating, set_gating, value_gating
from backstay.loop.anomaly_gating import _raw
from backstay.loop.gate_case import GateRows

COLUMNS = (Column("a", ColumnKind.NUMBER), Column("b", ColumnKind.NUMBER), Column("y", ColumnKind.CATEGORY))
SCHEMA = Schema(COLUMNS, ("a", "b"), target="y")
VALUES = Schema((*COLUMNS[:2], Column("y", ColumnKind.NUMBER)), ("a", "b"), target="y")


def rows(n: int, seed: int, width: float = 1.0) -> pa.Table:
    """The truth is the sign of a; b says nothing, and is `width` times as wide."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=n)
    return pa.table({"a": a, "b": rng.normal(size=n) * width, "y": np.where(a > 0, "p", "n").tolist()})


TRAINING, FEW = rows(200, 0), rows(40, 1)
MANY = pa.concat_tables([FEW, rows(400, 2, width=1000.0)])


def of_classes(table: pa.Table) -> np.ndarray:
    labels = np.array(table["y"].to_pylist(), dtype=object)
    return class_gating.controls(GateRows(table, SCHEMA, "d"), labels, ("n", "p"), TRAINING)["raw_knn"].scores


def of_values(table: pa.Table) -> np.ndarray:
    def numbers(given: pa.Table) -> pa.Table:
        return given.set_column(2, "y", given["a"])

    truth = table["a"].to_numpy()
    return value_gating.controls(numbers(table), VALUES, truth, numbers(TRAINING))["raw_knn"]


def of_sets(table: pa.Table) -> np.ndarray:
    def sets(given: pa.Table) -> pa.Table:
        return given.set_column(2, "y", pa.array([f'["{v}"]' for v in given["y"].to_pylist()]))

    truth = np.array([[v == "n", v == "p"] for v in table["y"].to_pylist()])
    return set_gating.controls(sets(table), SCHEMA, truth, ("n", "p"), sets(TRAINING))["raw_knn"][1]


def of_anomalies(table: pa.Table) -> np.ndarray:
    normal = np.array([v == "n" for v in TRAINING["y"].to_pylist()] + [False] * table.num_rows)
    return _raw(GateRows(table, SCHEMA, "d"), TRAINING, normal)


@pytest.mark.parametrize("answers", [of_classes, of_values, of_sets, of_anomalies])
def test_rows_that_are_judged_move_no_scale(answers) -> None:
    assert answers(MANY)[:40] == pytest.approx(answers(FEW))
