"""alibi-detect on the scoreboard: TabularDrift (Bonferroni), and for embeddings KSDrift and the classifier test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from alibi_detect.cd import ClassifierDrift, KSDrift, TabularDrift
from sklearn.linear_model import LogisticRegression
from worlds import Array, Table

PACKAGES = ("alibi-detect", "numpy", "scipy", "scikit-learn")
LEVEL = 0.05


def tables(reference: Table) -> Any:
    width = reference.numbers.shape[1]

    def rows(table: Table) -> Array:
        return np.column_stack([table.numbers, table.codes])

    detector = TabularDrift(rows(reference), p_val=LEVEL, categories_per_feature={width: None})

    def look(window: Table) -> dict[str, tuple[float, bool]]:
        data = detector.predict(rows(window))["data"]
        return {"TabularDrift": (-_log(data["p_val"].min()), bool(data["is_drift"]))}

    return look


def embeddings(reference: Array) -> Any:
    univariate = KSDrift(reference, p_val=LEVEL)
    classifier = _classifier(reference)

    def look(window: Array) -> dict[str, tuple[float, bool]]:
        ks, two = univariate.predict(window)["data"], classifier.predict(window)["data"]
        return {
            "KSDrift": (-_log(ks["p_val"].min()), bool(ks["is_drift"])),
            "ClassifierDrift": (-_log(two["p_val"]), bool(two["is_drift"])),
        }

    return look


def _classifier(reference: Array) -> Any:
    model = LogisticRegression()
    return ClassifierDrift(reference, model, p_val=LEVEL, preds_type="probs", backend="sklearn")


def _log(p: float) -> float:
    return float(np.log10(max(float(p), 1e-300)))


def embeddings_cost(reference: Array, window: Array) -> Any:
    few = np.random.default_rng(0).standard_normal((200, 4))
    _classifier(few).predict(few)
    return lambda: bool(_classifier(reference).predict(window)["data"]["is_drift"])


def columns_cost(reference: Path, window: Path) -> Any:
    few = np.random.default_rng(0).standard_normal((50, 2))
    KSDrift(few, p_val=LEVEL).predict(few)

    def look() -> bool:
        before, now = (np.load(path, allow_pickle=False) for path in (reference, window))
        return bool(KSDrift(before, p_val=LEVEL).predict(now)["data"]["is_drift"])

    return look
