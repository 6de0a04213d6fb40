"""NannyML under a changed meaning: accuracy estimated without labels (CBPE), and measured on the labelled rows.

Only a fall below the lower threshold counts. Thresholds are those of the reference's chunks, of 1,000 rows for the
estimate and of as many rows as have labels for the measurement.
"""

from __future__ import annotations

import warnings
from typing import Any

import nannyml
import numpy as np
import pandas as pd
from worlds_concept import LABELS, ROWS, STREAMS, Answers, ConceptWorld

PACKAGES = ("nannyml", "numpy", "pandas", "scikit-learn")
warnings.simplefilter("ignore")


def _frame(answers: Answers, few: int | None = None) -> pd.DataFrame:
    scores, truth = answers.scores[:few], answers.truth[:few]
    return pd.DataFrame({"score": scores, "answer": (scores >= 0.5).astype(int), "truth": truth.astype(int)})


def run(given: dict[str, Any]) -> dict[str, Any]:
    world = ConceptWorld(given["seed"])
    before, streams = _frame(world.reference()), [world.stream(number) for number in range(STREAMS)]
    estimator = nannyml.CBPE(
        problem_type="classification_binary",
        y_pred_proba="score",
        y_pred="answer",
        y_true="truth",
        metrics=["accuracy"],
        chunk_size=ROWS,
    ).fit(before)
    found: dict[str, Any] = {}
    for number, stream in enumerate(streams):
        now = pd.concat([_frame(window) for window in stream], ignore_index=True)
        found[f"0, {number}"] = {"CBPE": _told(estimator.estimate(now).to_df()["accuracy"], len(stream))}
    for labels in LABELS[1:]:
        measured = nannyml.PerformanceCalculator(
            problem_type="classification_binary",
            y_pred_proba="score",
            y_pred="answer",
            y_true="truth",
            metrics=["accuracy"],
            chunk_size=labels,
        ).fit(before)
        for number, stream in enumerate(streams):
            now = pd.concat([_frame(window, labels) for window in stream], ignore_index=True)
            told = _told(measured.calculate(now).to_df()["accuracy"], len(stream))
            found[f"{labels}, {number}"] = {"realised": told, "CBPE": found[f"0, {number}"]["CBPE"]}
    return {"found": found}


def _told(chunks: pd.DataFrame, windows: int) -> list[list[Any]]:
    """The reference's chunks come first."""
    values = chunks["value"].to_numpy(dtype=np.float64)
    old, new = values[:-windows], values[-windows:]
    lower = chunks["lower_threshold"].to_numpy(dtype=np.float64)[-windows:]
    spread = max(float(old.std()), 1e-9)
    return [[float((old.mean() - value) / spread), bool(value < low)] for value, low in zip(new, lower, strict=True)]
