"""A shop in December compared with the December before, and three years with a known season.

Invoices of one day hang together (the reference alone says so: the share of invoices without a customer varies from day
to day fifteen times as much as independent invoices would), so the days are named as groups.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import backstay

pytestmark = pytest.mark.data

FEATURES = ["lines", "units", "value", "price", "country", "guest", "cancelled"]
LATER = pd.Timestamp("2011-12-01", tz="UTC")
YEAR = datetime(2021, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def invoices(data_set: Callable[[str], Path]) -> pd.DataFrame:
    lines = pd.read_parquet(data_set("online_retail/online_retail.parquet"))
    lines["value"] = lines["Quantity"] * lines["UnitPrice"]
    lines["InvoiceNo"], lines["Country"] = lines["InvoiceNo"].astype(str), lines["Country"].astype(str)
    one = lines.groupby("InvoiceNo").agg(
        lines=("StockCode", "size"),
        units=("Quantity", "sum"),
        value=("value", "sum"),
        price=("UnitPrice", "median"),
        country=("Country", "first"),
        guest=("CustomerID", "max"),
        when=("InvoiceDate", "min"),
    )
    one["guest"] = one["guest"].isna()
    one["cancelled"] = one.index.str.startswith("C")
    one["when"] = one["when"].dt.tz_localize("UTC")
    one["day"] = one["when"].dt.strftime("%Y-%m-%d")
    return one.reset_index()


def watched(traffic: pd.DataFrame, reference: pd.DataFrame, **how: Any) -> Any:
    return backstay.watch(traffic, reference=reference, features=FEATURES, time="when", id="InvoiceNo", **how)


def told(name: str, seen: Any) -> None:
    evidence = ", ".join(f"{x.detector} {x.evidence:.2f}" for x in seen.signals)
    print(f"\n {name}: {seen.condition.value}, {evidence}; {'; '.join(seen.moved) or 'nothing moved'}")


def test_december_is_like_the_december_before(invoices: pd.DataFrame) -> None:
    now, before = invoices[invoices["when"] >= LATER], invoices[invoices["when"] < "2011-01-01"]
    assert now["day"].nunique() == 8
    assert before["day"].nunique() == 20
    told("invoices as if independent", watched(now, before))
    seen = watched(now, before, group="day")
    told("invoices of one day together", seen)
    assert all(x.figures["judged"] for x in seen.signals)
    assert not seen.alarming

    for name, broken in {
        "prices in pence": now.assign(price=now["price"] * 100),
        "countries lost": now.assign(country=None),
        "dozens counted as pieces": now.assign(units=now["units"] * 12),
        "every invoice without a customer": now.assign(guest=True),
    }.items():
        other = watched(broken, before, group="day")
        told(name, other)
        assert other.alarming


def test_days_are_what_hangs_together(invoices: pd.DataFrame) -> None:
    """From day to day the share of guests varies far more than that of independent invoices would."""
    now, before = invoices[invoices["when"] >= LATER], invoices[invoices["when"] < "2011-01-01"]
    days = before[before["when"] < "2010-12-10"].groupby("day")["guest"].agg(["mean", "size"])
    overall = float(np.average(days["mean"], weights=days["size"]))
    chance = overall * (1 - overall) * float((1 / days["size"]).mean())
    times = float(((days["mean"] - overall) ** 2).mean()) / chance
    print(f"\n guests from {days['mean'].min():.0%} to {days['mean'].max():.0%} a day: {times:.0f} times by chance")
    assert times > 8
    seen = watched(now, before, season="year", group="day")
    told("days together, by the season", seen)
    print(" ", "; ".join(x.message for x in seen.signals))
    assert not any(x.figures["judged"] for x in seen.signals if x.detector in ("embedding", "columns"))
    lines = now.assign(cancelled=False)
    other = watched(lines, before, group="day")
    told("no invoice cancelled", other)
    assert not other.alarming


def test_days_of_one_month_dealt_out_at_random_are_quiet(invoices: pd.DataFrame) -> None:
    """The same comparison where nothing can have changed: eight days of a month against its others and the next's."""
    alarms = looks = 0
    rng = np.random.default_rng(12)
    months = invoices["when"].dt.month + 12 * (invoices["when"].dt.year - 2010)
    for month in range(13, 23):
        part = invoices[(months == month) | (months == month + 1)]
        days = rng.permutation(part["day"].unique())
        seen = watched(part[part["day"].isin(days[:8])], part[part["day"].isin(days[8:])], group="day")
        assert all(x.figures["judged"] for x in seen.signals)
        looks, alarms = looks + 1, alarms + seen.alarming
    print(f"\n eight days against the others of two months: {alarms} alarms in {looks}")
    assert alarms == 0


def sales(first: int, days: int, rows: int, seed: int, more: float = 0.0) -> pd.DataFrame:
    """Days whose level follows the year, with a peak before Christmas."""
    rng = np.random.default_rng(seed)
    passed = first + np.sort(rng.random(rows)) * days
    season = np.cos(2 * np.pi * passed / 365) + 2.0 * np.exp(-(((passed % 365 - 345) / 12) ** 2))
    when = [YEAR + timedelta(days=float(day)) for day in passed]
    gift = rng.random(rows) < 1 / (1 + np.exp(1.5 - season))
    return pd.DataFrame({"when": when, "spent": season + more + rng.normal(size=rows), "gift": gift})


def test_three_years_with_a_known_season() -> None:
    reference = sales(0, 365, 30_000, 1)
    weeks = sales(365, 728, 52_000, 2)
    how: dict[str, Any] = {"reference": reference, "time": "when", "window_days": 7.0}
    blind = backstay.watch(weeks, **how)
    seen = backstay.watch(weeks, season="year", **how)
    alarms, without = (sum(any(x.alarm for x in w.signals) for w in s.windows) for s in (seen, blind))
    print(f"\n two years of weeks: {alarms} alarms with the season in {len(seen.windows)}, {without} without it")
    judged = sum(all(x.figures["judged"] for x in w.signals) for w in seen.windows)
    assert judged >= 100
    assert alarms <= 3
    assert without > 60
    later = backstay.watch(sales(365 * 2 - 20, 7, 500, 3, more=1.0), season="year", **how)
    assert later.alarming
