"""NannyML on the scoreboard: Jensen-Shannon by column, and the reconstruction error; its thresholds are its own.

It judges many windows ("chunks") in one go, so it is given all of a run. Its thresholds are three standard deviations
of the reference's chunks of the same size; a reference of one chunk gives it none to speak of.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import nannyml
import numpy as np
import pandas as pd
from worlds import Array, Table

PACKAGES = ("nannyml", "numpy", "scipy", "pandas", "scikit-learn")
warnings.simplefilter("ignore")


def _frame(table: Table) -> pd.DataFrame:
    frame = pd.DataFrame(table.numbers, columns=table.names)
    frame["answer"] = pd.Categorical(table.words, categories=["a", "b", "c"])
    return frame


def _exceeded(chunks: pd.DataFrame, reference: pd.DataFrame) -> Array:
    """How many standard deviations of the reference's chunks each chunk lies above their mean."""
    spread = max(float(reference["value"].std(ddof=0)), 1e-9)
    return np.asarray(np.abs(chunks["value"] - reference["value"].mean()) / spread, dtype=np.float64)


def tables_together(reference: Table, windows: list[Table]) -> list[dict[str, tuple[float, bool]]]:
    before, now = _frame(reference), pd.concat([_frame(window) for window in windows], ignore_index=True)
    rows, names = len(windows[0].codes), list(before.columns)
    univariate = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=rows).fit(before).calculate(now)
    error = nannyml.DataReconstructionDriftCalculator(column_names=names, chunk_size=rows).fit(before).calculate(now)
    columns, whole = univariate.to_df(), error.to_df()
    old, new = (columns[("chunk", "chunk", "period")] == period for period in ("reference", "analysis"))
    scores, alarms = [], []
    for name in names:
        part = columns[name]["jensen_shannon"]
        scores.append(_exceeded(part[new], part[old]))
        alarms.append(part[new]["alert"].to_numpy(dtype=bool))
    old, new = (whole[("chunk", "period")] == period for period in ("reference", "analysis"))
    rebuilt = whole["reconstruction_error"]
    distances, alerts = _exceeded(rebuilt[new], rebuilt[old]), rebuilt[new]["alert"].to_numpy(dtype=bool)
    highest, any_column = np.max(scores, axis=0), np.any(alarms, axis=0)
    return [
        {
            "univariate": (float(highest[i]), bool(any_column[i])),
            "reconstruction": (float(distances[i]), bool(alerts[i])),
        }
        for i in range(len(windows))
    ]


def columns_cost(reference: Path, window: Path) -> Any:
    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, window))
        names = [f"x{i:02d}" for i in range(before.shape[1])]
        old, new = pd.DataFrame(before, columns=names), pd.DataFrame(now, columns=names)
        fitted = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=10_000).fit(old)
        found = fitted.calculate(new).filter(period="analysis").to_df()
        return any(bool(found[name]["jensen_shannon"]["alert"].any()) for name in names)

    return look
