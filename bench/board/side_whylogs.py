"""whylogs on the scoreboard: profiles of both sides, compared by its drift scores; any column in its class "DRIFT"."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import KS, ChiSquare, calculate_drift_scores
from worlds import Array, Table

PACKAGES = ("whylogs", "numpy", "scipy", "pandas")
warnings.simplefilter("ignore")


def _profile(numbers: Array, words: Any = None) -> Any:
    frame = pd.DataFrame(numbers, columns=[f"x{i:02d}" for i in range(numbers.shape[1])])
    if words is not None:
        frame["answer"] = pd.Series(words, dtype=object)
    return whylogs.log(pandas=frame).view()


def _least(now: Any, before: Any) -> tuple[float, bool]:
    names = now.get_columns()
    tests = {name: ChiSquare() if name == "answer" else KS() for name in names}
    found = calculate_drift_scores(now, before, drift_map=tests, with_thresholds=True)
    told = [score for score in found.values() if score is not None]
    least = min(float(score["pvalue"]) for score in told)
    return -float(np.log10(max(least, 1e-300))), any(score["drift_category"] == "DRIFT" for score in told)


def tables(reference: Table) -> Any:
    before = _profile(reference.numbers, reference.words)
    return lambda window: {"any column": _least(_profile(window.numbers, window.words), before)}


def columns_cost(reference: Path, window: Path) -> Any:
    few = np.random.default_rng(0).standard_normal((60, 2))
    _least(_profile(few), _profile(few))

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, window))
        return _least(_profile(now), _profile(before))[1]

    return look
