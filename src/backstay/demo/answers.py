"""Reading what the command line answered."""

from __future__ import annotations

from typing import Any


def measured(report: dict[str, Any], metric: str, of: str = "model") -> dict[str, Any]:
    """A figure of a report, over all rows."""
    return next(m for m in report["measurements"] if (m["metric"], m["slice"], m["of"]) == (metric, "", of))


def label_free(seen: dict[str, Any]) -> dict[str, Any]:
    return next(e for e in seen["estimates"] if e["kind"] == "label-free")


def spread(value: dict[str, Any]) -> str:
    """A figure with its interval."""
    return f"{value['value']:.3f} ({value['interval']['low']:.3f} to {value['interval']['high']:.3f})"


def as_told(facts: dict[str, Any], refusals: dict[str, str]) -> bool:
    """Did the story end as the README says it does?"""
    return bool(
        "fade_alarm_week" in facts
        and facts.get("harmless_condition") == "moved"
        and "ppi" in facts
        and len(refusals) == 3
        and "not refused" not in refusals.values()
        and facts.get("forced_promotion_refused")
        and facts.get("swap_failures") == 0
        and "meaning_weeks" in facts
        and facts.get("ledger_sound")
    )
