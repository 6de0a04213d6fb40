"""Backstay on the scoreboard: the detectors that the settings name, fitted to inputs alone, as `backstay.watch` does.

The knob is the budget: "default" is one false alarm a year with weekly windows, "at the level" spends the scoreboard's
level on each window. The score is the strongest evidence over the detectors, 1 at the alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from worlds import Array, Table

from backstay.monitor.detectors import Look
from backstay.monitor.fitted import Detectors
from backstay.monitor.reference import NO_ANSWER, Reference
from backstay.monitor.traffic import WindowData
from backstay.settings import parse

PACKAGES = ("backstay", "numpy", "scipy")
LEVEL, WINDOWS_PER_YEAR = 0.05, 365.0 / 7.0
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
Scores = dict[str, tuple[float, bool]]


class _Watch:
    """Detectors of inputs alone at both budgets."""

    def __init__(self, columns: Mapping[str, Any], representation: Array | None, rows: int) -> None:
        self.settings = parse({"version": 1, "name": "scoreboard"})
        answers = np.full(rows, NO_ANSWER, dtype=object)
        reference = Reference(answers, (NO_ANSWER,), representation=representation, columns=dict(columns))
        self.detectors = Detectors.fit(reference, self.settings)

    def look(self, columns: Mapping[str, Any], representation: Array | None, rows: int) -> Scores:
        window = WindowData(
            BEGIN,
            BEGIN + timedelta(days=7),
            np.array([f"row-{i}" for i in range(rows)], dtype=object),
            np.full(rows, np.datetime64("2026-01-06", "us")),
            np.full(rows, NO_ANSWER, dtype=object),
            representation=representation,
            columns=dict(columns),
        )
        found: Scores = {}
        for name, per_year in (("default", 1.0), ("at the level", LEVEL * WINDOWS_PER_YEAR)):
            budget = self.detectors.budget(
                self.settings.model_copy(
                    update={"budget": self.settings.budget.model_copy(update={"false_alarms_per_year": per_year})}
                )
            )
            signals = []
            for detector, member in self.detectors.members.items():
                alpha = budget.window_alpha(detector, WINDOWS_PER_YEAR)
                spent = Look(alpha, budget.share(detector), 7 / 365, 0.0, self.settings.watch.tolerance)
                signals.append(member.look({}, window, spent)[0])
            found[name] = (max(one.evidence for one in signals), any(one.alarm for one in signals))
            for one in signals:
                found[f"{name}: {one.detector}"] = (one.evidence, one.alarm)
        return found


def _columns(table: Table) -> dict[str, Any]:
    numbers = {name: table.numbers[:, i].copy() for i, name in enumerate(table.names)}
    return {**numbers, "answer": table.words}


def tables(reference: Table) -> Any:
    watch = _Watch(_columns(reference), None, len(reference.codes))
    return lambda window: watch.look(_columns(window), None, len(window.codes))


def embeddings(reference: Array) -> Any:
    watch = _Watch({}, reference, len(reference))
    return lambda window: watch.look({}, window, len(window))


def columns_cost(reference: Path, window: Path) -> Any:
    import backstay

    few = np.random.default_rng(0).standard_normal((200, 4))
    backstay.watch(few, reference=few)  # imports and first uses are counted to nobody
    return lambda: backstay.watch(window, reference=reference).alarming


def embeddings_cost(reference: Array, window: Array) -> Any:
    import backstay

    few = np.random.default_rng(0).standard_normal((200, 4))
    backstay.watch(few, reference=few)
    return lambda: backstay.watch(window, reference=reference).alarming
