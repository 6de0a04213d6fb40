"""Twenty performances of the demo, each with scans dealt and traffic drawn anew. The bounds were set before the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

SEEDS = range(20)
TWO_MONTHS_OF_WEEKS = 9
LOST_AT_MOST = 0.05

ProveTable = Callable[[str, list[dict[str, object]]], None]


def perform(seed: int, folder: Path) -> dict[str, Any]:
    verb = ("demo", "--output", str(folder / str(seed)), "--seed", str(seed), "--json")
    done = subprocess.run(
        [sys.executable, "-m", "backstay.cli.main", *verb],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"seed": seed, "failed": done.stderr[-500:]}
    return result


def outcome(result: dict[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    if "failed" in result:
        return {"seed": result["seed"], "failed": result["failed"]}
    refusals = result["refusals"]
    return {
        "seed": result["seed"],
        "false alarms before": result["false_alarms_before"],
        "fade: weeks to alarm": result.get("fade_alarm_week"),
        "fade: points lost": round(100 * result.get("fade_lost_at_alarm", 1.0), 1),
        "brightness": result["harmless_condition"],
        "sliced": refusals["sliced"],
        "within noise": refusals["noise"],
        "leaky": refusals["leaky"],
        "meaning: weeks": result.get("meaning_weeks"),
        "drift silent": result["meaning_drift_silent"],
        "failed requests": result["swap_failures"] + result["failed_requests"],
        "rollback s": round(result["rollback_seconds"], 2),
        "s": round(result["seconds"]),
        "MB": round(result["peak_megabytes"]),
    }


@pytest.mark.slow
def test_twenty_performances(tmp_path: Path, prove_table: ProveTable) -> None:
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda seed: perform(seed, tmp_path), SEEDS))
    rows = [outcome(result) for result in results]
    prove_table("demo_seeds", rows)
    assert [row for row in rows if "failed" in row] == []
    caught = [r for r in results if r.get("fade_lost_at_alarm", 1.0) < LOST_AT_MOST]
    assert len(caught) >= 19, "the fade is caught before accuracy has lost 5 points"
    assert all(r["harmless_condition"] == "moved" for r in results), "brightness is moved, not worse"
    assert all(r["refusals"]["sliced"] != "not refused" for r in results)
    assert all("no_open_findings" in r["refusals"]["leaky"] for r in results)
    assert sum(r["refusals"]["noise"] != "not refused" for r in results) >= 15
    assert sum((r.get("meaning_weeks") or 99) <= TWO_MONTHS_OF_WEEKS for r in results) >= 18
    assert all(r["swap_failures"] == 0 and r["ledger_sound"] and r["forced_promotion_refused"] for r in results)
