"""Records survive JSON, exactly."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.kernel.codec import decode, encode
from backstay.kernel.errors import BackstayError
from backstay.kernel.records import (
    Column,
    ColumnKind,
    Comparison,
    Interval,
    Measurement,
    Report,
    RuleOutcome,
    Schema,
    Verdict,
)

MOMENT = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def through_json(value: object) -> object:
    return decode(type(value), json.loads(json.dumps(encode(value))))


@given(value=st.floats(allow_nan=False), n=st.integers(0, 10**9), name=st.text())
def test_a_measurement_survives_exactly(value: float, n: int, name: str) -> None:
    measurement = Measurement("accuracy", value, Interval(0.1, 0.2), n, name)
    assert through_json(measurement) == measurement


def test_nan_survives() -> None:
    back = through_json(Measurement("auc", float("nan"), None, 0, "data-1"))
    assert isinstance(back, Measurement)
    assert math.isnan(back.value)
    assert back.interval is None


def test_nested_records_and_optional_fields_survive() -> None:
    report = Report(
        id="report-1",
        model_id="model-1",
        data_id="data-1",
        created_at=MOMENT,
        measurements=(Measurement("accuracy", 0.9, Interval(0.8, 0.95), 100, "data-1"),),
        comparisons=(Comparison("accuracy", "model-0", 0.1, None, math.inf, 0.01, 0.99, 100, "data-1"),),
    )
    assert through_json(report) == report


def test_enums_tuples_and_dicts_survive() -> None:
    schema = Schema((Column("image", ColumnKind.IMAGE, False, (8, 8, 1)),), ("image",), target="y")
    assert through_json(schema) == schema
    outcome = RuleOutcome("at_least", True, "ok", {"n": 3})
    verdict = Verdict("v", "m", "production", "model-1", None, "r", "d", "p", True, (outcome,), MOMENT)
    assert through_json(verdict) == verdict


def test_a_field_of_the_future_is_refused() -> None:
    with pytest.raises(BackstayError, match="does not know: colour"):
        decode(Interval, {"low": 0.0, "high": 1.0, "level": 0.95, "method": "", "colour": "red"})
