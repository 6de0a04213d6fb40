"""Values in words, the same on every page. What is not known is said to be not known, never shown as 'nan'."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from backstay.kernel.records import Condition, Interval

UNKNOWN = "not known"
# Metrics that people read as shares of a hundred; the others are shown as plain numbers.
SHARES = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "recall_at_1",
        "map_at_r",
        "calibration_error",
        "hit_at_1",
        "hit_at_10",
    }
)
_BADGES = {
    Condition.FINE: "fine",
    Condition.MOVED: "moved",
    Condition.WORSE: "worse",
    Condition.UNKNOWN: "unknown",
}
_ESTIMATES = {
    "label-free": "estimated without labels",
    "ppi": "from labels, helped by scores or inputs",
    "labels": "from labels alone",
    "stratified": "from labels drawn by doubt, of an earlier window",
}
_KINDS = {
    "adopted": "adopted",
    "promoted": "promoted",
    "rollback": "rolled back",
    "refused": "refused",
    "alarm": "alarm",
    "labels": "labels",
}


def known(value: float | None) -> bool:
    """Whether there is a number to show or draw."""
    return value is not None and math.isfinite(value)


def percent(value: float | None, digits: int = 1) -> str:
    """
    >>> percent(0.9312), percent(None), percent(float("nan"))
    ('93.1%', 'not known', 'not known')
    """
    return UNKNOWN if value is None or not math.isfinite(value) else f"{value:.{digits}%}"


def number(value: float | None, digits: int = 3) -> str:
    """
    >>> number(0.12345), number(1234.0), number(float("inf"))
    ('0.123', '1,234', 'not known')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if float(value).is_integer() and abs(value) >= 1:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.{digits}f}"


def evidence(value: float | None) -> str:
    """Evidence as a multiple of its threshold.

    >>> evidence(0.034), evidence(2.5), evidence(1e7), evidence(float("nan"))
    ('0.03 ×', '2.50 ×', 'over 1,000 ×', 'not known')
    """
    if value is None or math.isnan(value):
        return UNKNOWN
    if value > 1000:
        return "over 1,000 ×"
    return f"{value:.2f} ×" if value < 100 else f"{value:,.0f} ×"


def chance(value: float | None) -> str:
    """A p-value; one that is too small to print is not printed as zero.

    >>> chance(0.0312), chance(1e-9), chance(1.0), chance(float("nan"))
    ('0.031', '< 0.001', '1.000', 'not known')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def figure(metric: str, value: float | None) -> str:
    """A metric's value the way people read that metric."""
    return percent(value) if metric in SHARES else number(value)


def difference(metric: str, value: float | None) -> str:
    """A difference with its sign; shares in points of a hundred.

    >>> difference("accuracy", 0.021), difference("log_loss", -0.5), difference("accuracy", None)
    ('+2.1 points', '−0.500', 'not known')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    sign = "−" if value < 0 else "+"
    return f"{sign}{abs(value) * 100:.1f} points" if metric in SHARES else f"{sign}{abs(value):.3f}"


def between(metric: str, interval: Interval | None) -> str:
    """
    >>> between("accuracy", Interval(.91, .95)), between("auc", None)
    ('91.0% to 95.0%', 'not known')
    """
    if interval is None or not (known(interval.low) and known(interval.high)):
        return UNKNOWN
    return f"{figure(metric, interval.low)} to {figure(metric, interval.high)}"


def difference_between(metric: str, interval: Interval | None) -> str:
    """The interval of a difference."""
    if interval is None or not (known(interval.low) and known(interval.high)):
        return UNKNOWN
    return f"{difference(metric, interval.low)} to {difference(metric, interval.high)}"


def day(at: datetime) -> str:
    """
    >>> day(datetime(2026, 3, 2, 14, 5, tzinfo=UTC))
    '2 Mar 2026'
    """
    at = utc(at)
    return f"{at.day} {at:%b %Y}"


def moment(at: datetime) -> str:
    """Day and minute, UTC."""
    return f"{day(at)}, {utc(at):%H:%M} UTC"


def utc(at: datetime) -> datetime:
    """The same instant in UTC; a time without zone is taken to be UTC."""
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def label_age(days: float | None) -> str:
    """How old the newest label is.

    >>> label_age(None), label_age(0.2), label_age(1.4), label_age(40.0)
    ('no standing label yet', 'less than a day old', '1 day old', '40 days old')
    """
    if days is None or not math.isfinite(days):
        return "no standing label yet"
    if days < 1:
        return "less than a day old"
    whole = round(days)
    return f"{whole} day{'' if whole == 1 else 's'} old"


def short(identity: str | None) -> str:
    """An id that people can still compare: its kind and twelve characters.

    >>> short("model-0123456789abcdef0123"), short(None)
    ('model-0123456789ab…', 'none')
    """
    if not identity:
        return "none"
    kind, mark, rest = identity.partition("-" if "-" in identity else ":")
    head, tail = (kind + mark, rest) if mark else ("", identity)
    return head + (tail if len(tail) <= 16 else tail[:12] + "…")


def metric_name(metric: str) -> str:
    """
    >>> metric_name("recall_at_1"), metric_name("auc")
    ('recall at 1', 'AUC')
    """
    return metric.upper() if metric in ("auc", "psnr") else metric.replace("_", " ")


def control_name(of: str) -> str:
    """
    >>> control_name("model"), control_name("control:raw_knn")
    ('the model', 'control: raw knn')
    """
    return "the model" if of == "model" else of.replace("control:", "control: ").replace("_", " ")


def estimate_name(kind: str) -> str:
    """A kind of estimate in words."""
    return _ESTIMATES.get(kind, kind)


def mark_name(kind: str) -> str:
    """A kind of mark on the timeline in words."""
    return _KINDS.get(kind, kind)


def badge(condition: Condition) -> str:
    """The style of a condition's badge."""
    return _BADGES[condition]


def anything(value: Any) -> str:
    """A cell of the user's data."""
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "missing" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, datetime):
        return moment(value)
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"
