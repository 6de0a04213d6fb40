"""Evidently on the scoreboard: the tests that it chooses for each column by itself, without the drawings of its report.

The first window of each run is also given to its Report, which must say the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.metrics.data_drift.embedding_drift_methods import distance, mmd, model, ratio
from evidently.presets import DataDriftPreset
from worlds import Array, Table

PACKAGES = ("evidently", "numpy", "scipy", "pandas", "scikit-learn")
SHARE = 0.5


def _frame(table: Table) -> pd.DataFrame:
    frame = pd.DataFrame(table.numbers, columns=table.names)
    frame["answer"] = pd.Series(table.words, dtype=object)
    return frame


def _report(before: pd.DataFrame, now: pd.DataFrame, categories: list[str]) -> dict[str, float]:
    """The score of each column by name, as the report of the preset gives it."""
    numbers = [name for name in before.columns if name not in categories]
    kinds = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    given = [Dataset.from_pandas(frame, data_definition=kinds) for frame in (now, before)]
    found = Report([DataDriftPreset()]).run(*given).dict()["metrics"]
    return {one["config"]["column"]: float(one["value"]) for one in found if "column" in one["config"]}


def tables(reference: Table) -> Any:
    before = _frame(reference)
    kinds = {name: "cat" if name == "answer" else "num" for name in before.columns}
    checked = False

    def look(window: Table) -> dict[str, tuple[float, bool]]:
        nonlocal checked
        now = _frame(window)
        scores, drifted, found = [], [], {}
        for name, kind in kinds.items():
            test = get_stattest(before[name], now[name], kind, None)
            said = test(before[name], now[name], kind, None)
            p_value = "p_value" in test.display_name
            found[name] = float(said.drift_score)
            scores.append(-np.log10(max(said.drift_score, 1e-300)) if p_value else said.drift_score)
            drifted.append(bool(said.drifted))
        if not checked:
            reported = _report(before, now, ["answer"])
            if any(abs(reported[name] - found[name]) > 1e-9 for name in found):
                raise RuntimeError("the report and the tests of the columns differ")
            checked = True
        # A number's distance and a category's are on different scales, and both alarm at .1.
        return {
            "any column": (float(max(scores)), any(drifted)),
            "dataset": (float(np.mean(drifted)), float(np.mean(drifted)) >= SHARE),
        }

    return look


def embeddings(reference: Array) -> Any:
    before = pd.DataFrame(reference)
    methods = {"model": model(), "mmd": mmd(), "ratio": ratio(), "distance": distance()}

    def look(window: Array) -> dict[str, tuple[float, bool]]:
        now = pd.DataFrame(window)
        found = {}
        for name, method in methods.items():
            score, drifted, _ = method(now, before)
            found[name] = (float(score), bool(drifted))
        return found

    return look


def columns_cost(reference: Path, window: Path) -> Any:
    few = pd.DataFrame(np.random.default_rng(0).standard_normal((60, 2)), columns=["a", "b"])
    _report(few, few, [])

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, window))
        names = [f"x{i:02d}" for i in range(before.shape[1])]
        found = _report(pd.DataFrame(before, columns=names), pd.DataFrame(now, columns=names), [])
        return max(found.values()) >= 0.1

    return look
