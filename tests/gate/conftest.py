from __future__ import annotations

from datetime import UTC, datetime

import pytest

from backstay.kernel.records import Comparison, Interval, Measurement, Report

NOON = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def measured():
    def make(value=0.9, low=0.88, high=0.92, n=500, metric="accuracy", **fields):
        interval = None if low is None else Interval(low, high)
        return Measurement(metric, value, interval, n, "data-1", **fields)

    return make


@pytest.fixture
def compared():
    def make(difference=0.02, low=0.01, better=0.01, worse=0.99, n=500, against="champ", metric="accuracy", slice=""):  # noqa: A002 - the field's word
        return Comparison(metric, against, difference, None, low, better, worse, n, "data-1", slice)

    return make


@pytest.fixture
def report(measured):
    def make(*comparisons, measurements=None, findings=()):
        figures = (measured(),) if measurements is None else tuple(measurements)
        return Report("report-1", "model-b", "data-1", NOON, figures, tuple(comparisons), "champ", tuple(findings))

    return make
