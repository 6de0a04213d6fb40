"""Counts of rows that have left: they add up, and what has left once does not come back."""

from __future__ import annotations

from datetime import date

from backstay.journal.tally import Tally


def test_counts_add_up_and_the_latest_day_stands():
    first = Tally().with_left({"r1": 3}, {"2026-03-01": 4}, date(2026, 3, 5))
    again = first.with_left({"r1": 1, "r2": 2}, {"2026-03-01": 1, "2026-03-02": 5}, date(2026, 3, 2))
    assert again.judged == {"r1": 4, "r2": 2}
    assert again.expired == {"2026-03-01": 5, "2026-03-02": 5}
    assert again.until == again.with_left({}, {}).until == date(2026, 3, 5)
