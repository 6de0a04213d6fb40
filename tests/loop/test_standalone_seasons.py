"""Watching without a project, with a season that is no news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import backstay
from backstay.kernel.errors import BackstayError

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def hours(rows: int, seed: int, begin: datetime, days: float, shift: float = 0.0) -> pa.Table:
    """A number that follows the hour of the day, at even moments."""
    rng = np.random.default_rng(seed)
    passed = (np.arange(rows) + 0.5) / rows * days
    x = 1.5 * np.cos(2 * np.pi * passed) + rng.normal(size=rows) + shift
    return pa.table({"x": x, "at": pa.array([begin + timedelta(days=float(day)) for day in passed])})


@pytest.fixture(scope="module")
def reference() -> pa.Table:
    return hours(6000, 0, BEGIN, 28)


NIGHT = BEGIN + timedelta(days=35)


def test_a_night_is_compared_with_nights(reference) -> None:
    night = hours(400, 1, NIGHT, 0.25)
    assert backstay.watch(night, reference=reference, time="at").alarming
    by_hours = backstay.watch(night, reference=reference, time="at", season="day")
    assert not by_hours.alarming
    assert all(signal.figures["judged"] for signal in by_hours.signals)
    assert backstay.watch(hours(400, 1, NIGHT, 0.25, 0.8), reference=reference, time="at", season="day").alarming


def test_windows_go_by_their_own_hours(reference) -> None:
    seen = backstay.watch(hours(3000, 2, NIGHT, 4), reference=reference, time="at", season="day", window_days=0.25)
    assert len(seen.windows) == 16
    assert not seen.alarming


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"season": "day"}, "a season of the day needs times"),
        ({"season": "month", "time": "at"}, "season"),
    ],
)
def test_what_cannot_be_is_said(reference, how, message) -> None:
    with pytest.raises(BackstayError, match=message):
        backstay.watch(hours(300, 1, NIGHT, 0.25), reference=reference, **how)


def test_a_reference_without_times_is_refused(reference) -> None:
    night = hours(300, 1, NIGHT, 0.25)
    with pytest.raises(BackstayError, match="the reference has no column 'at'"):
        backstay.watch(night, reference=reference.select(["x"]), time="at", season="day")
    assert backstay.watch(night, reference=reference.select(["x"]), time="at").alarming
