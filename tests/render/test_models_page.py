"""The index of several models: the gravest first, what failed before all, everything escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from backstay.kernel.records import Condition, WindowResult
from backstay.render.models_page import Row, models_page

START = datetime(2026, 1, 5, tzinfo=UTC)
WINDOW = WindowResult(
    id="w", model="m", environment="production", release_id="r", start=START, end=START + timedelta(days=7), rows=1300,
    condition=Condition.FINE, signals=(), estimates=(), headline="Probably fine & <quiet>.", advice=(),
    label_age_days=None, budget_spent=0.0, budget=1.0, created_at=START,
)  # fmt: skip


def row(name: str, condition: Condition | None, **more: str | int) -> Row:
    return Row(name, "production", None if condition is None else replace(WINDOW, condition=condition), "", **more)


def test_the_gravest_come_first_and_before_them_what_failed():
    found = models_page(
        [
            row("fresh", None, pending=12),
            row("fine", Condition.FINE),
            row("asks", Condition.UNKNOWN),
            row("worse", Condition.WORSE),
            row("moved", Condition.MOVED),
            row("failed", Condition.FINE, error="the log cannot be read; restore it"),
        ]
    )
    names = re.findall(r'<th scope="row">(?:<a [^>]*>)?(\w+)', found)
    assert names == ["failed", "worse", "moved", "asks", "fine", "fresh"]
    assert (
        "6 models: 1 could not be looked at, 1 worse, 1 moved, 1 please label, 1 probably fine, 1 without a window"
        in found
    )
    assert "Probably fine &amp; &lt;quiet&gt;." in found
    assert "12 rows wait" in found


def test_a_page_is_linked_only_where_there_is_one():
    found = models_page([replace(row("one", Condition.FINE), page="one@production.html"), row("two", Condition.FINE)])
    assert re.findall(r'href="([^"]*)"', found) == ["one@production.html"]
