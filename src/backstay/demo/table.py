"""The honest table at the end of the demo."""

from __future__ import annotations

import sys
from typing import Any


def closing_rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What was promised, and what came out."""
    ppi = result.get("ppi")
    rows = [
        ("false alarms while nothing had changed", f"{result.get('false_alarms_before', 0)}"),
        ("a harmless change of brightness", str(result.get("harmless_condition", "not tried"))),
        ("fade: alarm after", _weeks(result.get("fade_alarm_week"))),
        ("fade: true accuracy lost by then", _points(result.get("fade_lost_at_alarm"))),
        (
            "estimate with labels",
            "none" if ppi is None else f"{ppi['value']:.3f} ({ppi['low']:.3f} to {ppi['high']:.3f})",
        ),
        ("truth that week", "" if ppi is None else f"{ppi['truth']:.3f}"),
        (
            "challenger against champion, same rows",
            f"{result['challenger_accuracy']:.3f} against {result['champion_accuracy_then']:.3f}",
        ),
        (
            "swap: first answer after the command, failed requests",
            f"{result['swap_seconds']:.2f} s, {result['swap_failures']} of {result['swap_answers']}",
        ),
        *((f"refused: {name}", reason) for name, reason in result["refusals"].items()),
        (
            "promoting a refused one",
            "refused and recorded" if result.get("forced_promotion_refused") else "WENT THROUGH",
        ),
        ("meaning changed: caught after", _weeks(result.get("meaning_weeks"))),
        ("drift detectors meanwhile", "silent" if result.get("meaning_drift_silent") else "rang"),
        ("label-free estimate meanwhile", _estimate(result)),
        ("rollback, and forth", f"{result['rollback_seconds']:.2f} s, {result['forth_seconds']:.2f} s"),
        ("ledger", f"{'sound' if result['ledger_sound'] else 'NOT sound'}, {result['ledger_rows']} rows"),
        ("predictions served, failed requests", f"{result['requests']}, {result['failed_requests']}"),
    ]
    if "seconds" in result:
        megabytes = result["peak_megabytes"]
        rows.append(("took", f"{result['seconds']:.0f} s, {megabytes:.0f} MB at most over all processes"))
    return rows


def closing_table(result: dict[str, Any]) -> None:
    """Print it."""
    rows = closing_rows(result)
    width = max(len(name) for name, _ in rows)
    sys.stdout.write("\n" + "\n".join(f"  {name:<{width}}  {value}" for name, value in rows) + "\n")
    if not result["as_it_should"]:
        sys.stdout.write("\nNot everything happened as the README says; the table shows what did not.\n")


def _weeks(value: Any) -> str:
    return "not caught" if value is None else f"{value} week{'s' if value != 1 else ''}"


def _points(value: Any) -> str:
    return "" if value is None else f"{100 * value:.1f} points"


def _estimate(result: dict[str, Any]) -> str:
    estimate, truth = result.get("meaning_label_free"), result.get("meaning_truth")
    return "refused" if estimate is None else f"{estimate:.3f}, while the truth was {truth:.3f}"
